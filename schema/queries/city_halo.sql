SELECT halo_m FROM tongguan.city
