"""The published document against the server: its operations, its parameters, every member of its answers."""
import json
import re
import uuid

import pytest

from api_calls import V1, ask, problem
from harness import Api


@pytest.fixture(scope="module")
def published(city):
    status, headers, raw = ask(Api(city.address), "GET", "/openapi.json")
    assert status == 200 and {k.lower(): v for k, v in headers.items()}["content-type"] == "application/json"
    doc = json.loads(raw)
    assert doc["openapi"].startswith("3.1.")
    return doc


def resolved(doc, node):
    while "$ref" in node:
        target = doc
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def operations(doc):
    for path, item in doc["paths"].items():
        for method, op in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, op, [resolved(doc, p) for p in item.get("parameters", []) + op.get("parameters", [])]


KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}


def named(doc, schema):
    """The properties a schema knows, those of its parts included."""
    schema = resolved(doc, schema)
    return set(schema.get("properties", {})).union(*(named(doc, part) for part in schema.get("allOf", [])))


def faults(doc, schema, value, where="$", whole=True):
    """What the value has against the schema, by the words of JSON Schema that the document uses. A member it does not name is one,
    too: what is answered is to be published."""
    schema = resolved(doc, schema)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, KINDS[k]) and not (isinstance(value, bool) and k != "boolean") for k in kinds):
        return [f"{where} is no {kinds}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    for word, enough in (("oneOf", lambda n: n == 1), ("anyOf", lambda n: n >= 1)):
        if word in schema:
            fits = [faults(doc, s, value, where) for s in schema[word]]
            if not enough(fits.count([])):
                found.append(f"{where}: {fits.count([])} of {word} fit: {fits}")
    for part in schema.get("allOf", []):
        found += faults(doc, part, value, where, whole=False)
    if isinstance(value, dict):
        known = named(doc, schema)
        found += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        found += [f"{where}.{name} is not in the document" for name in value if whole and known and name not in known]
        for name in set(value) & set(schema.get("properties", {})):
            found += faults(doc, schema["properties"][name], value[name], f"{where}.{name}")
    for i, inner in enumerate(value if isinstance(value, list) and "items" in schema else []):
        found += faults(doc, schema["items"], inner, f"{where}[{i}]")
    return found


def test_document__every_operation_is_served_and_asks_who_it_is(city, published):
    api, count = Api(city.address), 0
    base = published["servers"][0]["url"].rstrip("/")
    for method, path, op, _ in operations(published):
        status, _, _ = ask(api, method, base + re.sub(r"\{[^}]+\}", str(uuid.uuid4()), path), {} if method == "POST" else None)
        wanted = (200, 422) if op.get("security") == [] else (401,)
        assert status in wanted, (method, path, status)
        assert str(status) in op["responses"], (method, path)
        count += 1
    assert count >= 25


def test_document__the_parameters_it_names_are_the_ones_that_are_taken(city, desk, crowd, foreign, published):
    """Every value in an enumeration and every default is accepted; what is not named is refused (see above)."""
    values = {"cursor": "", "bbox": "-72,42,-70,43", "department": desk.mine, "street": "x", "grid_cell": "x", "q": "ab", "overdue": "true",
              "due_before": "2030-01-01T00:00:00Z", "from": "2026-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "rule_id": "x",
              "account": "operator", "source_id": "x", "metric": "pm10", "state": None, "domain": "jianguan", "sort": "due", "limit": "3"}
    ids = {"cases": foreign.case, "tasks": foreign.task, "incidents": foreign.incident, "catalog": "22002"}
    base = published["servers"][0]["url"].rstrip("/")
    for method, path, op, parameters in operations(published):
        if method != "GET" or path.endswith("/stream"):
            continue
        kind = next((k for k in ids if f"/{k}/" in path), None)
        place = base + re.sub(r"\{[^}]+\}", ids.get(kind, ""), path)
        if op.get("security") == []:
            continue
        for p in parameters:
            if p["in"] != "query":
                continue
            schema = resolved(published, p["schema"])
            named = resolved(published, schema.get("items", schema)).get("enum")
            for value in named or [values[p["name"]]]:
                status, _, raw = ask(city.api(), "GET", f"{place}?{p['name']}={value or ''}")
                assert status == 200, (place, p["name"], value, raw[:200])


@pytest.mark.parametrize("path, actual", [
    ("/cases", "/cases?limit=200"), ("/cases/{id}", "/cases/CASE"), ("/cases/{id}/log", "/cases/CASE/log"),
    ("/cases/{id}/evidence", "/cases/CASE/evidence"), ("/cases/{id}/deadline", "/cases/CASE/deadline"),
    ("/cases/{id}/contact", "/cases/CASE/contact"), ("/tasks", "/tasks?limit=200"), ("/tasks/{id}", "/tasks/TASK"),
    ("/incidents", "/incidents?limit=200"), ("/incidents/{id}", "/incidents/INCIDENT"), ("/events", "/events?limit=1000"),
    ("/catalog", "/catalog"), ("/catalog/{type_code}", "/catalog/22002"), ("/departments", "/departments"), ("/city", "/city"),
    ("/sessions/current", "/sessions/current"),
])
def test_document__what_is_answered_is_what_it_says(city, crowd, foreign, published, path, actual):
    actual = actual.replace("CASE", foreign.case).replace("TASK", foreign.task).replace("INCIDENT", foreign.incident)
    base = published["servers"][0]["url"].rstrip("/")
    op = published["paths"][V1.removeprefix(base) + path]["get"]
    content = resolved(published, op["responses"]["200"])["content"]
    doc = city.api().get(V1 + actual)
    assert doc.get("items", True)
    assert faults(published, content["application/json"]["schema"], doc)[:5] == []
    if "application/geo+json" in content:
        status, _, raw = ask(city.api(), "GET", V1 + actual, headers={"Accept": "application/geo+json"})
        assert status == 200 and faults(published, content["application/geo+json"]["schema"], json.loads(raw))[:5] == []


def test_document__refusals_are_what_it_says(city, foreign, published):
    problems = [problem(ask(city.api(), "POST", f"{V1}/cases/{foreign.case}/actions", body), status) for body, status in (
        ({"action": "close", "version": 1}, 409), ({"action": "remind", "version": 99}, 409), ({"action": "remind"}, 422))]
    schema = published["components"]["schemas"]["Problem"]
    for doc in problems:
        assert faults(published, schema, doc) == []
