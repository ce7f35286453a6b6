//! `rabbitmqadmin`, version 1: the script of Debian's package, unmodified. Every command that makes sense on one node.

use std::path::PathBuf;
use std::process::Command;

use super::support::Broker;

/// The script, where RabbitMQ is installed.
fn script() -> Option<PathBuf> {
    let servers = std::fs::read_dir("/usr/lib/rabbitmq/lib").ok()?.flatten();
    let plugins = servers
        .filter_map(|server| std::fs::read_dir(server.path().join("plugins")).ok())
        .flatten()
        .flatten();
    let scripts = plugins.map(|plugin| plugin.path().join("priv/www/cli/rabbitmqadmin"));
    let found = scripts.into_iter().find(|script| script.exists());
    if found.is_none() {
        println!("skipped: rabbitmqadmin is not installed");
    }
    found
}

#[test]
fn every_command_works() {
    let Some(broker) = Broker::own() else { return };
    let Some(script) = script() else { return };
    let port = broker.http().port().to_string();
    let exported = std::env::temp_dir().join(format!("stoa-exported-{}.json", std::process::id()));
    let run = |line: &str| {
        let line = line.replace("FILE", exported.to_str().unwrap());
        let output = Command::new("python3")
            .arg(&script)
            .args(["-P", &port])
            .args(line.split(' '))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {out}{err}");
        out.into_owned()
    };
    for (command, said) in [
        ("show overview", "stoa"),
        ("declare vhost name=v", "vhost declared"),
        ("declare user name=u password=p tags=management", "user declared"),
        (
            "declare permission vhost=v user=u configure=.* write=.* read=.*",
            "permission declared",
        ),
        (
            r#"declare queue name=q durable=true arguments={"x-max-length":10}"#,
            "queue declared",
        ),
        ("declare exchange name=e type=topic", "exchange declared"),
        ("declare binding source=e destination=q routing_key=a.*", "binding declared"),
        (
            r#"declare policy name=p pattern=^q definition={"max-length":5} apply-to=queues"#,
            "policy declared",
        ),
        (
            r#"declare operator_policy name=o pattern=^q definition={"max-length":5} apply-to=queues"#,
            "operator_policy declared",
        ),
        ("declare vhost_limit vhost=v name=max-queues value=5", "vhost_limit declared"),
        (r#"declare parameter component=shovel name=s value={"a":1}"#, "parameter declared"),
        ("publish exchange=e routing_key=a.b payload=hello", "Message published"),
        ("get queue=q ackmode=ack_requeue_true", "hello"),
        ("get queue=q ackmode=ack_requeue_false", "hello"),
        ("list users", "guest"),
        ("list vhosts", "/"),
        ("list connections", ""),
        ("list exchanges", "amq.direct"),
        ("list bindings", "a.*"),
        ("list permissions", ".*"),
        ("list channels", ""),
        ("list parameters", "shovel"),
        ("list consumers", ""),
        ("list queues", "q"),
        (
            "list queues name messages message_stats.publish_details.rate",
            "message_stats.publish_details.rate",
        ),
        ("list policies", "max-length"),
        ("list operator_policies", "max-length"),
        ("list nodes", "stoa@localhost"),
        ("list vhost_limits", "max-queues"),
        ("purge queue name=q", "queue purged"),
        ("export FILE", "Exported definitions"),
        ("import FILE", "Uploaded definitions"),
        (
            "delete binding source=e destination=q destination_type=queue properties_key=a.%2A",
            "binding deleted",
        ),
        ("delete queue name=q", "queue deleted"),
        ("delete exchange name=e", "exchange deleted"),
        ("delete policy name=p", "policy deleted"),
        ("delete operator_policy name=o", "operator_policy deleted"),
        ("delete parameter component=shovel name=s", "parameter deleted"),
        ("delete vhost_limit vhost=v name=max-queues", "vhost_limit deleted"),
        ("delete permission vhost=v user=u", "permission deleted"),
        ("delete user name=u", "user deleted"),
        ("delete vhost name=v", "vhost deleted"),
    ] {
        let out = run(command);
        assert!(out.contains(said), "{command}: {out}");
    }
    drop(std::fs::remove_file(exported));
}
