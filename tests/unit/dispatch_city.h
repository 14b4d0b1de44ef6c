/* A small city for the unit tests of dispatch/: two departments, an office calendar and one round
 * the clock. */
#ifndef TG_TESTS_DISPATCH_CITY_H
#define TG_TESTS_DISPATCH_CITY_H

#include "dispatch/city.h"

static const char test_city_text[] =
	"{\"version\":1,\"name_zh\":\"试城\",\"name_en\":\"Testville\",\"division\":\"310104\","
	"\"zone\":\"Asia/Shanghai\","
	"\"streets\":[{\"code\":\"S1\",\"name_zh\":\"一街\",\"name_en\":\"First\",\"short_zh\":"
	"\"一\",\"short_en\":\"1st\",\"district\":\"D\"}],"
	"\"calendars\":[{\"name\":\"always\",\"weekdays\":[1,2,3,4,5,6,7],\"periods\":[\"00:00-24:"
	"00\"],\"hours_per_day\":24,\"days\":[]},"
	"{\"name\":\"default\",\"weekdays\":[1,2,3,4,5],\"periods\":[\"08:00-12:00\",\"14:00-18:"
	"00\"],\"hours_per_day\":8,"
	"\"days\":[{\"day\":20779,\"kind\":\"off\",\"periods\":null,\"name\":\"day off\"}]}],"
	"\"depts\":["
	"{\"code\":\"CGJ\",\"name_zh\":\"城管\",\"name_en\":\"Enforcement\",\"short_zh\":\"城管\","
	"\"short_en\":\"Enf\",\"pinyin\":\"cg\",\"kind\":\"government\",\"calendar\":\"default\"},"
	"{\"code\":\"GAF\",\"name_zh\":\"公安\",\"name_en\":\"Police\",\"short_zh\":\"公安\","
	"\"short_en\":\"Pol\",\"pinyin\":\"ga\",\"kind\":\"government\",\"calendar\":\"always\"},"
	"{\"code\":\"JGW\",\"name_zh\":\"建管\",\"name_en\":\"Building\",\"short_zh\":\"建管\","
	"\"short_en\":\"Bld\",\"pinyin\":\"jg\",\"kind\":\"government\",\"calendar\":\"default\"},"
	"{\"code\":\"JGW1\",\"name_zh\":\"建管一队\",\"name_en\":\"Building "
	"1\",\"short_zh\":\"一队\","
	"\"short_en\":\"B1\",\"pinyin\":\"yd\",\"kind\":\"unit\",\"calendar\":\"default\","
	"\"parent\":\"JGW\",\"streets\":[\"S1\"]}],"
	"\"types\":[{\"type_code\":\"01001\",\"kind\":\"部件\",\"class_code\":\"01\",\"class_zh\":"
	"\"设施\",\"class_en\":\"Utility\",\"name_zh\":\"井盖\",\"name_en\":\"Cover\","
	"\"short_zh\":\"井盖\",\"short_en\":\"Cover\",\"pinyin\":\"jg\",\"domain\":\"jianguan\","
	"\"lead\":\"JGW\",\"co\":[\"CGJ\"],\"accept_limit\":\"0.1h\","
	"\"dispatch_limit\":\"0.1h\",\"dispose_limit\":\"2h\",\"urgency\":\"urgent\","
	"\"conditions\":["
	"{\"condition_no\":1,\"handle_limit\":\"2h\",\"filing_zh\":\"缺失\",\"filing_en\":"
	"\"missing\",\"close_zh\":\"恢复\",\"close_en\":\"restored\"},"
	"{\"condition_no\":2,\"handle_limit\":\"1wd\",\"lead\":\"GAF\",\"filing_zh\":\"破损\","
	"\"filing_en\":"
	"\"broken\",\"close_zh\":\"更换\",\"close_en\":\"replaced\"}]},"
	"{\"type_code\":\"09001\",\"kind\":\"事项\",\"class_code\":\"09\",\"class_zh\":\"秩序\","
	"\"class_en\":\"Order\",\"name_zh\":\"占道\",\"name_en\":\"Blocking\","
	"\"short_zh\":\"占道\",\"short_en\":\"Block\",\"pinyin\":\"zd\",\"domain\":\"pingan\","
	"\"lead\":\"CGJ\",\"co\":[],\"accept_limit\":\"0.25h\","
	"\"dispatch_limit\":\"0.25h\",\"dispose_limit\":\"1wd\",\"urgency\":\"normal\",\"self_"
	"dispose\":true,"
	"\"conditions\":["
	"{\"condition_no\":1,\"handle_limit\":\"1wd\",\"filing_zh\":\"有\",\"filing_en\":\"found\","
	"\"close_zh\":\"无\",\"close_en\":\"gone\"}]}],"
	"\"stage_limits\":["
	"{\"clock\":\"verify\",\"urgency\":\"normal\",\"limit_text\":\"30min\"},{\"clock\":"
	"\"verify\",\"urgency\":\"urgent\",\"limit_text\":\"30min\"},"
	"{\"clock\":\"file\",\"urgency\":\"normal\",\"limit_text\":\"15min\"},{\"clock\":\"file\","
	"\"urgency\":\"urgent\",\"limit_text\":\"15min\"},"
	"{\"clock\":\"accept\",\"urgency\":\"normal\",\"limit_text\":\"15min\"},{\"clock\":"
	"\"dispatch\",\"urgency\":\"normal\",\"limit_text\":\"15min\"},"
	"{\"clock\":\"sign\",\"urgency\":\"normal\",\"limit_text\":\"2wh\"},{\"clock\":\"sign\","
	"\"urgency\":\"urgent\",\"limit_text\":\"10min\"},"
	"{\"clock\":\"reply\",\"urgency\":\"normal\",\"limit_text\":\"2wh\"},"
	"{\"clock\":\"check\",\"urgency\":\"normal\",\"limit_text\":\"4wh\"},{\"clock\":\"check\","
	"\"urgency\":\"urgent\",\"limit_text\":\"30min\"},"
	"{\"clock\":\"close\",\"urgency\":\"normal\",\"limit_text\":\"2wh\"},{\"clock\":\"close\","
	"\"urgency\":\"urgent\",\"limit_text\":\"2wh\"}],"
	"\"ladder\":["
	"{\"urgency\":\"normal\",\"level\":0,\"percent\":50,\"plus\":null,\"supervise\":0},{"
	"\"urgency\":\"normal\",\"level\":1,\"percent\":80,\"plus\":null,\"supervise\":0},"
	"{\"urgency\":\"normal\",\"level\":2,\"percent\":100,\"plus\":null,\"supervise\":1},{"
	"\"urgency\":\"normal\",\"level\":3,\"percent\":100,\"plus\":\"1wd\",\"supervise\":2},{"
	"\"urgency\":\"normal\",\"level\":4,\"percent\":100,\"plus\":\"2wd\",\"supervise\":3,"
	"\"rework\":3},"
	"{\"urgency\":\"urgent\",\"level\":2,\"percent\":100,\"plus\":null,\"supervise\":1},{"
	"\"urgency\":\"urgent\",\"level\":3,\"percent\":100,\"plus\":\"15min\",\"supervise\":2}]}";

static inline struct tg_city *test_city(void)
{
	struct tg_city *city = NULL;
	struct tg_buf why = {0};
	json_t *doc = NULL;

	assert_int_equal(tg_json_parse(TG_SLICE(test_city_text), &doc, &why), 0);
	if (tg_city_parse(doc, &city, &why))
		fail_msg("%s", tg_buf_cstr(&why));
	json_decref(doc);
	tg_buf_release(&why);
	return city;
}

#endif
