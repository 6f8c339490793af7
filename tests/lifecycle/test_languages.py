"""HTTP clients of other languages, with their own defaults, are answered, also through a proxy."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests import shell
from tests.lifecycle.registry import serving_production
from tests.online import Server, running_program
from tests.shell import program

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wire")]

BODY = '{"dataframe_records": [{"a": 0}]}'
ANSWER = '{"predictions": [1]}'
BEHIND = "models.example.com"
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Ask {
  public static void main(String[] given) throws Exception {
    var client = HttpClient.newHttpClient();
    for (int turn = 0; turn < 2; turn++) {
      var asked = HttpRequest.newBuilder(URI.create(given[0]))
          .header("Content-Type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofString(BODY)).build();
      System.out.println(client.send(asked, HttpResponse.BodyHandlers.ofString()).body());
    }
  }
  static final String BODY = "{\\"dataframe_records\\": [{\\"a\\": 0}]}";
}
"""
GO = """
package main
import ("fmt"; "io"; "net/http"; "os"; "strings")
func main() {
  for turn := 0; turn < 2; turn++ {
    answer, err := http.Post(os.Args[1], "application/json", strings.NewReader(`BODY`))
    if err != nil { panic(err) }
    text, _ := io.ReadAll(answer.Body)
    fmt.Println(string(text))
  }
}
"""
NODE = """
for (let turn = 0; turn < 2; turn++) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(process.argv[2], { method: "POST", headers, body: 'BODY' });
  console.log(await answer.text());
}
"""
NODE_HTTP = """
import { request } from "node:http";
const options = { method: "POST", headers: { "content-type": "application/json" } };
for (let turn = 0; turn < 2; turn++) await new Promise((done) => {
  const asked = request(process.argv[2], options, (answer) => {
    answer.on("data", (part) => console.log(String(part))).on("end", done);
  });
  asked.write('BODY'.slice(0, 9)); // in chunks
  asked.end('BODY'.slice(9));
});
"""
PHP = """<?php
$asked = curl_init($argv[1]);
curl_setopt($asked, CURLOPT_POSTFIELDS, 'BODY');
curl_setopt($asked, CURLOPT_HTTPHEADER, ['Content-Type: application/json']);
curl_exec($asked);
curl_exec($asked);
"""
RUBY = """
require "net/http"
2.times do
  puts Net::HTTP.post(URI(ARGV[0]), 'BODY', "Content-Type" => "application/json").body
end
"""
TYPED = ["-H", "Content-Type: application/json"]
# name: the tool, what installs it, a file and its text, and the arguments before the address
CLIENTS: dict[str, tuple[str, str, str, str, list[str]]] = {
    "curl": ("curl", "curl", "", "", ["-sS", *TYPED, "-d", BODY]),
    "curl --http2": ("curl", "curl", "", "", ["-sS", "--http2", *TYPED, "-d", BODY]),
    "curl --http1.0": ("curl", "curl", "", "", ["-sS", "--http1.0", *TYPED, "-d", BODY]),
    "curl, in chunks": (
        "curl", "curl", "", "", ["-sS", *TYPED, "-H", "Transfer-Encoding: chunked", "-d", BODY],
    ),
    "curl, with a question first": (
        "curl", "curl", "", "", ["-sS", *TYPED, "-H", "Expect: 100-continue", "-d", BODY],
    ),
    "wget": (
        "wget", "wget", "", "",
        ["-qO-", "--header=Content-Type: application/json", f"--post-data={BODY}"],
    ),
    "ab": (
        "ab", "apache2-utils", "body", BODY,
        ["-k", "-n", "2", "-v", "4", "-T", "application/json", "-p", "body"],
    ),
    "Java": ("javac", "openjdk-17-jdk-headless", "Ask.java", JAVA, []),
    "Go": ("go", "golang-go", "ask.go", GO, ["run", "ask.go"]),
    "node fetch": ("node", "nodejs", "ask.mjs", NODE, ["ask.mjs"]),
    "node http": ("node", "nodejs", "ask.mjs", NODE_HTTP, ["ask.mjs"]),
    "PHP": ("php", "php-cli php-curl", "ask.php", PHP, ["ask.php"]),
    "Ruby": ("ruby", "ruby", "ask.rb", RUBY, ["ask.rb"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("languages")
    with serving_production(folder, "--allowed-hosts", BEHIND) as server:
        yield server


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "curl --http2" else pytest.mark.breadth)
        for name in CLIENTS
    ],
)
def test_clients_of_other_languages_are_answered(server: Server, tmp_path: Path, name: str) -> None:
    tool, packages, file, text, arguments = CLIENTS[name]
    command = program(tool, packages)
    if file:
        (tmp_path / file).write_text(re.sub(r"(['`])BODY\1", rf"\g<1>{BODY}\1", text))
    if name == "Java":
        command, arguments = program("java", packages), ["Ask.java"]
    run = subprocess.run(
        [command, *arguments, f"{server.url}/invocations"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env=shell.environment() | {"GOCACHE": str(tmp_path / "go")},
    )  # fmt: skip
    assert ANSWER in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0, run.stderr
    if file and name != "ab":
        assert run.stdout.count(ANSWER) == 2, run.stdout


NGINX = """
daemon off; pid nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u;
  scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port};
    location /below/here/ {{ proxy_pass {url}/; }}
    location /named/ {{ proxy_pass {url}/; proxy_set_header Host $http_host; }}
  }}
}}
"""


@pytest.mark.breadth
def test_a_proxy_may_put_everything_below_a_prefix(server: Server, tmp_path: Path) -> None:
    command, port = program("nginx", "nginx-light"), shell.free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(port=port, url=server.url))
    proxy = [command, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    url, options = f"http://127.0.0.1:{port}", {"stderr": subprocess.DEVNULL}
    environment = shell.environment()
    with running_program(proxy, f"{url}/below/here/livez", env=environment, **options):
        for path in ("", "docs", "openapi.json", "status.json", "page/main.js", "models/m/form"):
            assert requests.get(f"{url}/below/here/{path}", timeout=30).status_code == 200, path
        page = requests.get(f"{url}/below/here/", timeout=30).text
        assert 'src="/' not in page
        assert 'href="/' not in page
        typed = {"content-type": "application/json"}
        for place in ("below/here", "named"):
            answer = requests.post(f"{url}/{place}/invocations", BODY, headers=typed, timeout=30)
            assert answer.text == ANSWER
        for host, status in ((BEHIND, 200), ("other.example.com", 403)):
            answer = requests.post(
                f"{url}/named/invocations", BODY, headers={**typed, "Host": host}, timeout=30
            )
            assert answer.status_code == status
