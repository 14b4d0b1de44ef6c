// What the engine says of a value it does not accept, in Chinese; in English its own words stand. `npm run check` compares this
// table with the engine's sources.
import { lang } from "./text";

const FIELDS: Record<string, string> = {
	action: "操作", address: "地址", by: "时长", condition: "立案条件", department: "部门", into: "保留的案件", location: "位置", note: "备注",
	photos: "照片", reason: "理由", result: "结果", tasks: "任务", text: "内容", title: "标题", type_code: "类型", unit: "下级单位", until: "截止时间",
	urgency: "紧急程度", version: "版本",
};

export const WRONG: Record<string, string> = {
	"a department stands there twice": "同一部门出现了两次",
	"a list of 1 to 8 {department, role}": "需要 1 至 8 项任务，各有部门与角色",
	"a photo's name is the hash that POST /photos gave": "照片没有上传成功，请重新添加",
	"a reason, or words in note, is required": "请选择理由或填写说明",
	"a type, a title or a text is required": "请填写类型、标题或内容",
	"an action of a task, not of the case": "应对任务操作，不是对案件",
	"an action of the case, not of a task": "应对案件操作，不是对任务",
	"an assisting task ends with the lead's at the latest": "协办期限不能晚于主办",
	"an unknown department": "没有这个部门",
	"each needs department and role": "每项任务都要有部门与角色",
	"edit needs type_code, title, location or urgency": "没有可修改的内容",
	"exactly one department leads": "主办部门须有且只有一个",
	"has a task of this case already": "在本案中已有任务",
	"has no assisting task that is open": "没有未完成的协办任务",
	"is longer than the limit itself": "超过原时限",
	"is more than a year away": "超过一年",
	"is no department": "不是部门",
	"is not a filing condition of this type": "不是这一类型的立案条件",
	"is not a member of this action": "不属于这项操作",
	"is not below this department": "不是本部门的下级单位",
	"is not in the catalogue": "不在目录中",
	"is not open": "已经结束",
	"is of another class of types": "类别不同",
	"is required": "必填",
	"is required: a department's code": "请选择部门",
	"is required: a limit such as 2wh": "请填写时长，例如 2wh",
	"is required: an RFC 3339 time": "请填写时间",
	"is required: the id of the case that remains": "请选择保留的案件",
	"is required: {lon, lat}": "请选择位置",
	"is this case itself": "就是本案",
	"is too long": "过长",
	"is unknown": "没有这个部门",
	"lies in the past": "已经过去",
	"lies more than 500 m away": "相距超过 500 米",
	"lies outside the city's grid": "在城市网格之外",
	"longitude lies within 180 degrees, latitude within 90": "经度不超过 180 度，纬度不超过 90 度",
	"must be a limit: 2h, 4wh, 1wd, 2nd": "须写成 2h、4wh、1wd、2nd",
	"must be a list of at most 20 texts": "最多 20 项文字",
	"must be a list of at most 9 names of photos": "最多 9 张照片",
	"must be a list of short texts": "须为若干简短文字",
	"must be an RFC 3339 time": "须为带时区的时间",
	"must be text": "须为文字",
	"must be the number of a filing condition": "须为立案条件的序号",
	"must be {lon, lat} with two numbers": "须为经度与纬度两个数",
	"must count as the limit does: both working time, or both continuous": "须与原时限同一算法：同为工作时或同为自然时",
	"must not be empty": "不能为空",
	"one of urgent, priority, normal, slow": "须为紧急、优先、一般或可缓",
	"role is lead or assist": "角色须为主办或协办",
	"the case cannot hold more of this": "本案已达上限",
	"the version this action was decided on is required": "缺少版本，请刷新后再试",
	"there is no such case": "没有这个案件",
	"this department has returned it: uphold, or choose another": "该部门已退回：请驳回退单或另选部门",
	unknown: "没有这项操作",
};

/** One refused value, in the reader's language. */
export function refusal(field: string | undefined, detail: string | undefined): string {
	if (lang.peek() !== "zh") return [field, detail].filter(Boolean).join(": ");
	return [FIELDS[field ?? ""] ?? field, WRONG[detail ?? ""] ?? detail].filter(Boolean).join("：");
}
