"""What suites need around them: a folder that keeps what was installed, virtual environments, unpacked packages, commands with a deadline."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
from pathlib import Path

from .broker import ROOT
from .missing import Missing


class Setting:
    def __init__(self, cache, sources):
        self.cache = Path(cache) if cache else Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "suites"
        # of this run alone: two may go on at once
        self.scratch = self.cache / "run" / str(os.getpid())
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.sources = sources
        self.broker = None

    def command(self, command, folder=None, deadline=900, environment=None, check=False):
        """Runs to the end; gives all that it said. After the deadline it is killed, and what it said till then is all there is."""
        environment = {**os.environ, **(self.broker.environment if self.broker else {}), **(environment or {})}
        arguments = dict(cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process = subprocess.Popen([str(part) for part in command], start_new_session=True, **arguments)
        try:
            said, _ = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            said, _ = process.communicate()
            said += b"\n(killed: it did not end in time)\n"
        text = said.decode(errors="replace")
        if check and process.returncode:
            raise Missing(f"{command[0]} failed: {text[-400:]}")
        return text

    def need(self, program, package):
        """A program of Debian's; installed where that is possible."""
        if not shutil.which(program):
            self.debian(package)
        if not shutil.which(program):
            raise Missing(f"{program} is not here, and neither is the Debian package {package}")
        return program

    def need_file(self, path, package):
        """A file of a Debian package."""
        if not Path(path).exists():
            self.debian(package)
        if not Path(path).exists():
            raise Missing(f"the Debian package {package} cannot be installed")
        return Path(path)

    def debian(self, *packages):
        if os.geteuid() or not shutil.which("apt-get"):
            return
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet = dict(env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *packages]
        if subprocess.run(install, **quiet).returncode:
            subprocess.run(["apt-get", "update", "-qq", "-o", "DPkg::Lock::Timeout=120"], **quiet)
            subprocess.run(install, **quiet)

    def debian_source(self, name):
        """The unpacked upstream source of a Debian package: some have tests that the package itself leaves out."""
        folder = self.cache / "debian" / name
        if not folder.exists():
            scratch = self.cache / "debian" / f"{name}.download"
            (scratch / "lists/partial").mkdir(parents=True, exist_ok=True)
            codename = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
            archive = re.search(r"^(?:URIs:|deb)\s.*?(http\S+/debian)/?\s", apt_sources(), re.M)
            if not codename or not archive:
                raise Missing("this is no Debian")
            (scratch / "sources.list").write_text(f"deb-src {archive[1]} {codename[1]} main\n")
            apt = ["apt-get", "-o", f"Dir::Etc::SourceList={scratch}/sources.list", "-o", "Dir::Etc::SourceParts=-", "-o", f"Dir::State::Lists={scratch}/lists"]
            self.command([*apt, "update"], scratch, check=True)
            self.command([*apt, "source", "--download-only", name], scratch)
            found = next(scratch.glob("*.orig.tar.*"), None)
            if not found:
                raise Missing(f"the source of the Debian package {name} cannot be fetched")
            unpack(found, folder)
        return folder

    def python(self, name, *packages):
        """A virtual environment with these packages, made once for each list of them."""
        folder, stamp = self.cache / "python" / name, self.cache / "python" / f"{name}.packages"
        wanted = "\n".join(packages)
        if not stamp.exists() or stamp.read_text() != wanted:
            try:
                venv.create(folder, with_pip=True, clear=True)
            except subprocess.CalledProcessError:
                self.debian("python3-venv")
                venv.create(folder, with_pip=True, clear=True)
            self.command([folder / "bin/pip", "install", "--quiet", *packages], check=True)
            stamp.write_text(wanted)
        return folder / "bin/python"

    def sdist(self, requirement):
        """The unpacked source package of a requirement like `amqp==5.3.1`."""
        name, version = requirement.split("==")
        folder = self.cache / "sdist" / requirement
        if not folder.exists():
            download = self.cache / "sdist" / "download" / requirement
            get = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "-d", download, requirement]
            self.command(get, check=True)
            unpack(next(download.glob("*.tar.gz")), folder)
        return folder

    def npm(self, *packages):
        """A folder with these packages in node_modules."""
        self.need("npm", "npm")
        folder = self.cache / "npm" / "-".join(packages).replace("/", "+")
        if not (folder / "node_modules").exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text('{"private": true}')
            self.command(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *packages], folder, check=True)
        return folder

    def crate(self, name, version):
        """The unpacked source of a crate, as a workspace of its own."""
        folder = self.cache / "crates" / f"{name}-{version}"
        if not folder.exists():
            fetch = self.cache / "crates" / f"fetch-{name}"
            (fetch / "src").mkdir(parents=True, exist_ok=True)
            (fetch / "src/lib.rs").touch()
            (fetch / "Cargo.toml").write_text(
                f'[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n{name} = "={version}"\n[workspace]\n'
            )
            self.command(["cargo", "fetch"], fetch, check=True)
            home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
            found = next(home.glob(f"registry/src/*/{name}-{version}"), None)
            if not found:
                raise Missing(f"the crate {name} {version} cannot be fetched")
            shutil.copytree(found, folder)
            with open(folder / "Cargo.toml", "a") as manifest:
                manifest.write("\n[workspace]\n")
        return folder

    def http(self):
        """Host and port of the broker's HTTP API."""
        if not self.broker.http:
            raise Missing("it uses the HTTP API: name its address with --http")
        return self.broker.http

    def api(self, method, path, body=None):
        """Asks the broker's HTTP API as guest, for what a suite wants to be there beforehand."""
        login = base64.b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.http()}/api/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def checkout(self, name):
        """A checkout of a client whose packages come without its tests."""
        if name not in self.sources:
            raise Missing(f"its packages leave the tests out: name a checkout with --source {name}=DIR")
        return Path(self.sources[name])

    def copy(self, source, name, replace=None, files="**/*"):
        """A fresh copy of a suite's sources in which words are replaced: the address, where it is written into the tests."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".git", "target", "node_modules"))
        for file in folder.glob(files):
            if replace and file.is_file() and not file.is_symlink():
                try:
                    text = file.read_text()
                except UnicodeDecodeError:
                    continue
                changed = text
                for old, new in replace.items():
                    changed = changed.replace(old, new)
                if changed != text:
                    file.write_text(changed)
        return folder


def apt_sources():
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("debian*")]
    return "".join(file.read_text() for file in files if file.exists())


def unpack(archive, folder):
    """Unpacks without the archive's single top folder."""
    scratch = folder.with_suffix(".unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(scratch)
    next(entry for entry in scratch.iterdir() if entry.is_dir()).rename(folder)
    shutil.rmtree(scratch)
