"""The published document is what is served: schemathesis makes requests from it and judges the answers; its examples hold."""
import json
import os
import subprocess
import uuid

import pytest
from api_calls import V1
from harness import ROOT, Api
from test_api_document import faults, operations, resolved

CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth"]
# What is left out, and why. The stream never ends; signing out would end the run's own credential.
LEFT_OUT = [f"{V1}/stream", f"{V1}/sessions/current"]


@pytest.fixture(scope="module")
def document(city):
    return Api(city.address)("GET", "/openapi.json")[1]


def test_contract__schemathesis_finds_nothing(city, tmp_path):
    made = city.run("token", "create", "--role", "shift_lead", "--name", f"fuzz-{uuid.uuid4().hex[:8]}")
    assert made.returncode == 0, made.stderr
    command = [os.path.join(ROOT, "build/deps/venv/bin/schemathesis"), "run", f"http://{city.address}/openapi.json",
               "-H", f"Authorization: Bearer {made.stdout.strip()}", "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing",
               "-n", "4", "--seed", "7", "--workers", "1", "--request-timeout", "15", "--warnings", "off", "--no-color",
               "--generation-database", "none"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_contract__every_operation_shows_examples_that_fit(document):
    wrong = []
    for method, path, op, parameters in operations(document):
        places = [(f"{method} {path} body", media, content) for media, content in op.get("requestBody", {}).get("content", {}).items()]
        for code, answer in op["responses"].items():
            if code.startswith("2"):
                places += [(f"{method} {path} {code}", media, content) for media, content in resolved(document, answer).get("content", {}).items()]
        for where, media, content in places:
            if media.startswith(("image/", "application/octet-stream")):
                continue
            if "example" not in content:
                wrong.append(f"{where} {media}: no example")
            elif "json" in media and "schema" in content:
                wrong += [f"{where}: {fault}" for fault in faults(document, content["schema"], content["example"])]
        wrong += [f"{method} {path}: no example of {p['name']}" for p in parameters if p["in"] == "path" and "example" not in p]
    assert wrong == []
    json.dumps(document)
