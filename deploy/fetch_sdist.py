"""Fetch one source archive of a Python package, without building it.

    fetch_sdist.py PROJECT FILE SHA256 DESTINATION

`pip download` would run the archive's build backend, which fetches more. So the file's address is
asked of the index that pip is configured for (files, PIP_* variables, credentials in the address),
the file is fetched, and its SHA-256 must be the one given. Run it with the Python that has pip.
"""

import ast
import hashlib
import html.parser
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

BYTES_MAX = 64 << 20


def fail(text):
    sys.exit(f"fetch_sdist: {text}")


def pip_options():
    """pip's settings for `download`, by name; a later line of pip's list wins over an earlier."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"],
                            check=True, capture_output=True, text=True).stdout
    rank = {"global": 0, "install": 1, "download": 2, ":env:": 3}
    found = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section not in rank:
            continue
        if name not in found or rank[section] >= found[name][0]:
            found[name] = (rank[section], ast.literal_eval(value))
    return {name: value for name, (_, value) in found.items()}


def default_index():
    from pip._internal.models.index import PyPI
    return PyPI.simple_url


class Client:
    """urllib with pip's certificate, proxy, time-out and the credentials written in an address."""

    def __init__(self, options):
        self.timeout_s = float(options.get("timeout") or options.get("default-timeout") or 60)
        handlers = [urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=options.get("cert") or None))]
        if options.get("proxy"):
            handlers.append(urllib.request.ProxyHandler(
                {"http": options["proxy"], "https": options["proxy"]}))
        self.passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        handlers.append(urllib.request.HTTPBasicAuthHandler(self.passwords))
        self.opener = urllib.request.build_opener(*handlers)

    def get(self, address, accept="*/*"):
        parts = urllib.parse.urlsplit(address)
        if parts.username:
            host = parts.hostname + (f":{parts.port}" if parts.port else "")
            address = urllib.parse.urlunsplit(parts._replace(netloc=host))
            self.passwords.add_password(None, f"{parts.scheme}://{host}/",
                                        urllib.parse.unquote(parts.username),
                                        urllib.parse.unquote(parts.password or ""),
                                        is_authenticated=True)
        request = urllib.request.Request(address, headers={"Accept": accept})
        with self.opener.open(request, timeout=self.timeout_s) as answer:
            body = answer.read(BYTES_MAX + 1)
            if len(body) > BYTES_MAX:
                raise ValueError("the answer is too large")
            return answer.headers.get_content_type(), answer.url, body


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.hrefs = []

    def handle_starttag(self, tag, attrs):
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.hrefs.append(href)


def file_address(client, index, project, name):
    """Where the index says the file is, or None when it does not have it."""
    page = index.rstrip("/") + "/" + project + "/"
    kind, base, body = client.get(page, "application/vnd.pypi.simple.v1+json, text/html;q=0.5")
    if kind.endswith("json"):
        hrefs = [f["url"] for f in json.loads(body)["files"] if f["filename"] == name]
    else:
        links = Links()
        links.feed(body.decode("utf-8", "replace"))
        hrefs = [h for h in links.hrefs
                 if urllib.parse.unquote(urllib.parse.urlsplit(h).path).rpartition("/")[2] == name]
    return urllib.parse.urldefrag(urllib.parse.urljoin(base, hrefs[0])).url if hrefs else None


def find_and_fetch(options, project, name):
    client = Client(options)
    indexes = [] if str(options.get("no-index", "")).lower() in ("1", "true", "yes", "on") else \
        [options.get("index-url") or default_index()] + (options.get("extra-index-url") or "").split()
    troubles = []
    for folder in (options.get("find-links") or "").split():
        path = os.path.join(folder.removeprefix("file://"), name)
        if os.path.isfile(path):
            with open(path, "rb") as local:
                return local.read()
    for index in indexes:
        try:
            address = file_address(client, index, project, name)
            if address:
                return client.get(address)[2]
            troubles.append("it does not have the file")
        except (OSError, ValueError, KeyError, urllib.error.URLError) as why:
            troubles.append(str(why))
    fail(f"{name}: pip's package index did not give it ({'; '.join(troubles) or 'no index'}): "
         "see `pip config list`")


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    project, name, sha256, destination = sys.argv[1:]
    body = find_and_fetch(pip_options(), project, name)
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        fail(f"{name}: sha256 is {found}, expected {sha256}: not used")
    with open(destination + ".part", "wb") as out:
        out.write(body)
    os.replace(destination + ".part", destination)


if __name__ == "__main__":
    main()
