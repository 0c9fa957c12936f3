# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx's own words, certificates, processes and packages are read as."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils import _nginx_distribution as distribution
from ansible_collections.alfred.portmap.plugins.module_utils._nginx import Tree
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import BUILT_IN, parse
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_certificates import Certificate, choose, read_certificate
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_processes import masters, processes, runs_with, workers
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_proxy import Nginx, NginxCommands
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_reading import identity
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_tree import Directory, Link, ReleaseFile, files_of, link_of, prune
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import ChangeError
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Pair, ProxyError

DEBIAN = """nginx version: nginx/1.22.1
built with OpenSSL 3.0.22 25 Aug 2026 (running with OpenSSL 3.0.19 27 Jan 2026)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 -Wformat -Werror=format-security' --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
--modules-path=/usr/lib/nginx/modules --with-http_ssl_module --with-http_stub_status_module --with-http_v2_module --with-stream_ssl_module \
--with-stream_ssl_preread_module --with-stream=dynamic
"""
MAINLINE = """nginx version: nginx/1.27.3
built by gcc 12.2.0
configure arguments: --prefix=/etc/nginx --with-http_v2_module --with-http_v3_module --with-stream --with-stream_ssl_module
"""


def test_debians_nginx_has_stream_as_a_module_of_its_own() -> None:
    found = parse(DEBIAN, lambda path: path != "/etc/ssl/ca-bundle.pem")
    assert found is not None
    assert (found.version, found.text, found.http2, found.http3, found.status) == ((1, 22, 1), "1.22.1", True, False, True)
    assert (found.stream, found.stream_tls) == ("/usr/lib/nginx/modules/ngx_stream_module.so", True)
    without = parse(DEBIAN, lambda path: False)
    assert without is not None and (without.stream, without.ipv6, without.ca_bundle) == ("", False, "")


def test_others_have_it_built_in_or_not_at_all() -> None:
    found = parse(MAINLINE, lambda path: True)
    assert found is not None
    assert (found.stream, found.stream_tls, found.http3, found.status) == (BUILT_IN, False, True, False)
    assert parse("Apache/2.4", lambda path: True) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("certificates")


def issue(folder: pathlib.Path, *extensions: str) -> Pair:
    pair = Pair(str(folder / "cert.pem"), str(folder / "cert.key"))
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=cn.example"]
    more = [word for one in extensions for word in ("-addext", one)]
    subprocess.run([*request, *more, "-keyout", pair.key_file, "-out", pair.cert_file], capture_output=True, check=True)
    return pair


@pytest.mark.parametrize(
    ("extensions", "names"),
    [
        (["subjectAltName=DNS:A.example,DNS:*.b.example,IP:192.0.2.1,email:x@y.example"], ("a.example", "*.b.example")),
        (["subjectAltName=critical,DNS:a.example"], ("a.example",)),
        (["subjectAltName=" + ",".join(f"DNS:{number}.a-rather-long-name-of-a-host.example" for number in range(40))], None),
        ([], ()),
    ],
)
def test_the_names_of_a_certificate_are_those_in_subject_alt_name(folder: pathlib.Path, extensions: list[str], names: tuple[str, ...] | None) -> None:
    found = read_certificate(issue(folder, *extensions)).names
    assert found == names if names is not None else len(found) == 40


def test_files_that_are_no_certificates_are_refused(folder: pathlib.Path) -> None:
    pair = issue(folder)
    pathlib.Path(pair.cert_file).write_text("nothing of the kind")
    with pytest.raises(ProxyError, match="holds no certificate"):
        read_certificate(pair)
    with pytest.raises(ProxyError, match="can't be read"):
        read_certificate(Pair("/nowhere", "/nowhere"))


def test_the_name_itself_then_a_wildcard_then_the_first() -> None:
    made = [Certificate(Pair(name, name), names, "") for name, names in (("first", ()), ("wild", ("*.example.net",)), ("exact", ("api.example.net",)))]
    chosen = [choose(host, made).pair.cert_file for host in ("API.example.net", "www.example.net", "a.b.example.net", "example.net")]
    assert chosen == ["exact", "wild", "first", "first"]


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> pathlib.Path:
    """A /proc of two masters, one of them in another network namespace."""

    def process(name: str, parent: int, state: str, title: str, net: str = "net:[1]") -> None:
        place = tmp_path / name / "ns"
        place.mkdir(parents=True)
        (place / "net").symlink_to(net)
        (place / "pid").symlink_to("pid:[1]")
        (tmp_path / name / "cmdline").write_bytes(title.encode() + b"\0\0")
        (tmp_path / name / "stat").write_text(
            f"{name} (nginx) {state} {parent} " + " ".join(["0"] * 17) + f" {int(name or 0) * 10 if name.isdecimal() else 0} 0\n"
        )

    process("self", 1, "R", "python")
    process("10", 1, "S", "nginx: master process /usr/sbin/nginx -c /etc/nginx/portmap/nginx.conf -g daemon off;")
    process("11", 10, "T", "nginx: worker process")
    process("12", 10, "S", "nginx: worker process is shutting down")
    process("20", 1, "S", "nginx: master process /usr/sbin/nginx", "net:[2]")
    process("30", 1, "S", "vim nginx: master process")
    return tmp_path


def test_processes_are_this_hosts_and_what_they_were_started_with(proc: pathlib.Path) -> None:
    found = processes(str(proc))
    assert {one.pid for one in found} == {10, 11, 12}
    master = masters(found)[0]
    assert runs_with(master, "/etc/nginx/portmap/nginx.conf") and not runs_with(master, "/etc/nginx/portmap/nginx.con")
    by_pid = {one.pid: one for one in workers(found, master)}
    assert set(by_pid) == {11, 12} and by_pid[11].halted and by_pid[12].draining and by_pid[11].started == 110


def test_workers_whose_namespaces_are_not_told_are_where_their_master_is(proc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root in a container may not trace other users' processes."""
    told = os.readlink

    def readlink(path: str) -> str:
        if any(f"/{pid}/ns/" in path for pid in (11, 12, 30)):
            raise PermissionError(13, "Permission denied", path)
        return told(path)

    monkeypatch.setattr(os, "readlink", readlink)
    assert {one.pid for one in processes(str(proc))} == {10, 11, 12}


@pytest.fixture
def packaged(tmp_path: pathlib.Path) -> pathlib.Path:
    """The configuration as Debian's packages bring it."""
    for name in ("sites-available", "sites-enabled", "conf.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "nginx.conf").write_text("main")
    (tmp_path / "sites-available/default").write_text("welcome")
    (tmp_path / "sites-enabled/default").symlink_to(tmp_path / "sites-available/default")
    return tmp_path


def dpkg(folder: pathlib.Path) -> t.Callable[..., tuple[int, str, str]]:
    sums = {folder / "nginx.conf": b"main", folder / "sites-available/default": b"welcome"}
    lines = [f" {path} {hashlib.md5(text, usedforsecurity=False).hexdigest()}" for path, text in sums.items()]
    return lambda argv: (0, "\n".join([*lines, " /usr/sbin/nginx"]), "")


def test_packages_own_files_are_nobodys(packaged: pathlib.Path) -> None:
    assert distribution.changed_files(dpkg(packaged), str(packaged)) == []


@pytest.mark.parametrize("changed", ["nginx.conf", "sites-available/default", "conf.d/mine.conf", "sites-enabled/mine"])
def test_a_file_of_somebodys_is_found(packaged: pathlib.Path, changed: str) -> None:
    (packaged / changed).write_text("mine")
    assert distribution.changed_files(dpkg(packaged), str(packaged)) == [str(packaged / changed)]


def test_without_a_package_manager_everything_is_somebodys(packaged: pathlib.Path) -> None:
    def none(argv: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError(argv[0])

    assert str(packaged / "nginx.conf") in distribution.changed_files(none, str(packaged))


def test_what_is_ours_on_red_hat(packaged: pathlib.Path) -> None:
    def rpm(argv: list[str]) -> tuple[int, str, str]:
        if argv[0] != "rpm":
            raise FileNotFoundError(argv[0])
        listed = f"{packaged}/nginx.conf\n{packaged}/sites-available/default\n"
        return (0, listed, "") if argv[1] == "-q" else (1, f"S.5....T.  c {packaged}/sites-available/default\n", "")

    assert distribution.changed_files(rpm, str(packaged)) == [f"{packaged}/sites-available/default"]


def test_a_release_is_placed_with_its_directories_and_the_link_is_renamed(tmp_path: pathlib.Path) -> None:
    config = str(tmp_path / "portmap")
    own = {"uid": os.getuid(), "gid": os.getgid()}
    for release in ("aaa", "bbb", "ccc"):
        above = [config, f"{config}/releases", f"{config}/releases/{release}", f"{config}/releases/{release}/users"]
        for one in (*(Directory(path, "", 0o750, **own) for path in above), ReleaseFile(f"{above[-1]}/x", "secret", 0o640, True, **own)):
            one.place()
            assert one.present() == one
    assert (tmp_path / "portmap/releases/aaa/users").stat().st_mode & 0o777 == 0o750
    assert link_of(config).text is None
    for release in ("aaa", "bbb"):
        Link(f"{config}/nginx.conf", f"releases/{release}/nginx.conf", 0o777).place()
        assert link_of(config).release == release
    prune(config, {"aaa", "bbb"})
    assert sorted(os.listdir(f"{config}/releases")) == ["aaa", "bbb"]
    Link(f"{config}/nginx.conf", None, 0o777).place()
    assert os.listdir(config) == ["releases"]


def test_directories_are_put_right_and_go_if_nothing_is_in_them(tmp_path: pathlib.Path) -> None:
    one = Directory(str(tmp_path / "releases"), "", 0o750, False, os.getuid(), os.getgid())
    before = one.present()
    assert before.text is None
    one.place()
    (tmp_path / "releases").chmod(0o700)
    assert one.present() != one
    one.place()
    assert one.present() == one
    (tmp_path / "releases/somebodys").touch()
    before.place()
    assert one.present() == one
    (tmp_path / "releases/somebodys").unlink()
    before.place()
    assert os.listdir(tmp_path) == []


def test_what_leads_to_a_tree_is_part_of_it() -> None:
    paths = [one.path for one in files_of(Tree({"nginx.conf": "", "users/x": ""}, frozenset()), "/etc/p", 0)]
    release = Tree({"nginx.conf": "", "users/x": ""}, frozenset()).release
    assert paths[:4] == ["/etc/p", "/etc/p/releases", f"/etc/p/releases/{release}", f"/etc/p/releases/{release}/users"]
    assert paths[-1] == "/etc/p/nginx.conf"


def test_a_process_is_known_by_its_user_and_all_its_groups(tmp_path: pathlib.Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/status").write_text("Name:\tnginx\nUid:\t33\t33\t33\t34\nGid:\t35\t35\t35\t36\nGroups:\t33 37 \n")
    assert identity(7, str(tmp_path)) == (34, 36, [33, 37])


def test_a_unit_that_no_package_brought_is_found(tmp_path: pathlib.Path) -> None:
    assert distribution.units_of_somebodys("nginx", str(tmp_path)) == []
    (tmp_path / "nginx.service").symlink_to("/dev/null")  # masked
    assert distribution.units_of_somebodys("nginx", str(tmp_path)) == []
    (tmp_path / "nginx.service").unlink()
    (tmp_path / "nginx.service").write_text("[Service]\n")
    assert distribution.units_of_somebodys("nginx.service", str(tmp_path)) == [str(tmp_path / "nginx.service")]


def test_a_stopped_nginx_of_somebodys_is_not_taken_without_a_question(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], **more: t.Any) -> tuple[int, str, str]:
        return 1, "", ""

    def found(somebodys: list[str], unit: str = "systemctl", **more: t.Any) -> str:
        monkeypatch.setattr(distribution, "changed_files", lambda run: somebodys)
        commands = NginxCommands(run, [unit, "restart", "nginx"], [], [])
        tree = Tree({"nginx.conf": ""}, frozenset())
        drop_in = str(tmp_path / "portmap.conf")
        return Nginx(run, commands, "/bin/true", str(tmp_path / "etc"), str(tmp_path / "run"), 1, tree, [], [], unit_file=drop_in, **more).look()

    shop = ["/etc/nginx/sites-enabled/shop"]
    with pytest.raises(ChangeError, match=r"is stopped, and has .* package's: /etc/nginx/sites-enabled/shop\. .*nginx_take_over"):
        found(shop)
    assert found([]) == found(shop, take_over=True) == found(shop, unit="other") == "stopped"
    (tmp_path / "portmap.conf").touch()
    assert found(shop) == "stopped", "it is ours already"


@pytest.mark.parametrize("refusal", [FileNotFoundError("unshare"), (1, "", "unshare: unshare failed: Operation not permitted\n"), None])
def test_a_candidate_is_tried_without_the_hosts_network_where_that_may_be(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, refusal: t.Any) -> None:
    monkeypatch.setattr("ansible_collections.alfred.portmap.plugins.module_utils._nginx_proxy.TRIALS", str(tmp_path))
    (tmp_path / "portmap-nginx-trial-99999999-of-a-run-that-was-killed").mkdir()  # no pid is that large
    calls = []

    def run(argv: list[str], **more: t.Any) -> tuple[int, str, str]:
        calls.append(argv)
        if argv[0] == "unshare" and isinstance(refusal, Exception):
            raise refusal
        return (
            refusal
            if argv[0] == "unshare" and refusal
            else (1, "", f"nginx: [emerg] no such thing in {argv[-1]}:3\nnginx: configuration file {argv[-1]} test failed\n")
        )

    proxy = Nginx(run, NginxCommands(run, [], [], []), "/bin/true", str(tmp_path), "/run/x", 1, Tree({"nginx.conf": ""}, frozenset()), [], [])
    with pytest.raises(ChangeError, match=r"refuses the configuration: no such thing in nginx\.conf:3$"):
        proxy.try_candidate([])
    assert os.listdir(tmp_path) == [], "nothing is left of it, nor of any before"
    assert [argv[0] for argv in calls] == (["unshare"] if refusal is None else ["unshare", "/bin/true"])
