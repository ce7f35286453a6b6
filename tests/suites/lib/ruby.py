"""Clients of Ruby: their own specs, run by Debian's RSpec without Bundler."""

from pathlib import Path

from . import results

HERE = Path(__file__).resolve().parents[1]


def rspec(setting, folder, paths, libraries, deadline=900, environment=None):
    report = setting.scratch / "rspec.json"
    report.unlink(missing_ok=True)
    included = [option for library in (HERE / "standins/ruby", *libraries) for option in ("-I", library)]
    command = ["rspec", *included, "--no-color", "--format", "json", "--out", report, *paths]
    said = setting.command(command, folder, deadline, {"LANG": "C.UTF-8", **(environment or {})})
    return results.of_rspec(report.read_text()) if report.exists() and report.stat().st_size else [results.Result("rspec", results.FAILED, said)]


def prepare_rspec(setting):
    setting.need("rspec", "ruby-rspec")


def prepare_bunny(setting):
    setting.checkout("bunny")
    setting.checkout("amq-protocol")
    setting.need_file("/var/lib/dpkg/info/ruby-sorted-set.list", "ruby-sorted-set")
    prepare_rspec(setting)


EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
BUNNY_VHOSTS = {"bunny_testbed": "classic", "bunny_dqt_classic": "classic", "bunny_dqt_quorum": "quorum"}


def run_bunny(setting):
    # what its script bin/ci/before_build does with rabbitmqctl
    setting.api("PUT", "users/bunny_gem", {"password": "bunny_password", "tags": ""})
    setting.api("PUT", "users/bunny_reader", {"password": "reader_password", "tags": ""})
    for vhost, kind in BUNNY_VHOSTS.items():
        setting.api("PUT", f"vhosts/{vhost}", {"default_queue_type": kind})
        for user in ("guest", "bunny_gem"):
            setting.api("PUT", f"permissions/{vhost}/{user}", EVERYTHING)
    setting.api("PUT", "permissions/bunny_testbed/bunny_reader", {"configure": "^---$", "write": "^---$", "read": ".*"})
    folder = setting.checkout("bunny")
    specs = ["spec/issues", "spec/higher_level_api", "spec/lower_level_api", "spec/unit"]
    found = rspec(setting, folder, specs, [folder / "lib", setting.checkout("amq-protocol") / "lib"])
    # streams are no part of what Stoa is meant to do
    return [result for result in found if "stream" not in result.name]


def prepare_amqp(setting):
    setting.checkout("evented-spec")
    setting.need_file("/var/lib/dpkg/info/ruby-amqp.list", "ruby-amqp")
    setting.debian_source("ruby-amqp")
    prepare_rspec(setting)


def run_amqp(setting):
    # what its script bin/set_test_suite_realms_up.sh does with rabbitmqctl
    setting.api("PUT", "vhosts/amqp_gem_testbed")
    setting.api("PUT", "users/amqp_gem", {"password": "amqp_gem_password", "tags": ""})
    for user in ("guest", "amqp_gem"):
        setting.api("PUT", f"permissions/amqp_gem_testbed/{user}", EVERYTHING)
    folder = setting.copy(setting.debian_source("ruby-amqp"), "ruby-amqp")
    # recovery starts and stops the broker with rabbitmqctl
    specs = [path for path in sorted((folder / "spec/integration").glob("**/*_spec.rb")) if path.parent.name not in ("recovery", "stress")]
    return rspec(setting, folder, ["-r", "rspec2", *specs], [folder / "lib", setting.checkout("evented-spec") / "lib"])
