"""How the tests of the HTTP API call it, and what every refusal must look like."""
import http.client
import json

from harness import HERE, Api

V1 = "/api/v1"


def create(city, expect=201, headers=None, **fields):
    body = {"type_code": "22002", "title": "路灯不亮", "location": {"lon": HERE[0], "lat": HERE[1]}} | fields
    status, answered, raw = city.api()("POST", V1 + "/cases", {k: v for k, v in body.items() if v is not None}, headers, raw=True)
    doc = json.loads(raw)
    assert status == expect, doc
    if status == 201:
        assert answered["location"] == f"{V1}/cases/{doc['case_id']}"
    return doc


def to_dispatch(city):
    case = create(city)["case_id"]
    city.api().act(case, "accept")
    city.api("shift_lead").act(case, "file", condition=1)
    return case


def dispatched(city, *departments):
    """A case with a lead and perhaps assistants; (case, its document)."""
    case = to_dispatch(city)
    tasks = [{"department": d, "role": "assist" if i else "lead"} for i, d in enumerate(departments)]
    return case, city.api().act(case, "dispatch", tasks=tasks)


def problem(answer, status):
    """Asserts an RFC 9457 document and gives it."""
    code, headers, raw = answer
    assert code == status, (code, raw[:300])
    head = {k.lower(): v for k, v in headers.items()}
    assert head["content-type"] == "application/problem+json"
    doc = json.loads(raw)
    assert doc["status"] == status and doc["type"] and doc["title"] and (doc.get("detail") or status == 405), doc
    return doc


def ask(api, method, path, body=None, headers=None):
    return api(method, path, body, headers, raw=True)


def field_of(doc):
    assert all(e["detail"] for e in doc["errors"])
    return [e["field"] for e in doc["errors"]]


def post_raw(city, path, body, headers):
    conn = http.client.HTTPConnection(city.address, timeout=30)
    conn.request("POST", path, body=body, headers={"Authorization": f"Bearer {city.api().token}", **headers})
    answer = conn.getresponse()
    text = answer.read()
    conn.close()
    return answer.status, dict(answer.getheaders()), text


def every_page(api, path, limit=7, headers=None, name="items"):
    """All items, page by page."""
    items, cursor = [], None
    while True:
        sign = "&" if "?" in path else "?"
        status, _, raw = ask(api, "GET", f"{path}{sign}limit={limit}" + (f"&cursor={cursor}" if cursor else ""), headers=headers)
        doc = json.loads(raw)
        assert status == 200, doc
        assert len(doc[name]) <= limit
        items += doc[name]
        cursor = doc["next_cursor"]
        if not cursor:
            return items
        assert len(doc[name]) == limit


def sign_in(city, name, password):
    status, headers, raw = ask(Api(city.address), "POST", V1 + "/sessions", {"username": name, "password": password})
    return status, {k.lower(): v for k, v in headers.items() if k.lower() != "date"}, raw
