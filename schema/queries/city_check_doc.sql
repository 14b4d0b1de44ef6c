SELECT tongguan.city_doc()
