//! axe-core, which finds what keeps people out who see, hear or move otherwise. It comes from npm, once.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::page::Page;
use crate::support::tool;

/// Its script, or None if there is no way to it.
pub(crate) fn script() -> Option<String> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let file = directory.join("node_modules/axe-core/axe.min.js");
    if !file.is_file() {
        let npm = tool::find("npm", "npm")?;
        std::fs::create_dir_all(&directory).unwrap();
        let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
        let _ = tool::output(Command::new(npm).args(install).arg(&directory).arg("axe-core@4"));
    }
    tool::or_skip(std::fs::read_to_string(file).ok(), "axe-core cannot be installed from npm")
}

/// Nothing serious is wrong with what the page shows.
pub(crate) async fn check(page: &Page, axe: &str, what: &str) {
    page.script(axe, vec![]).await;
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations), (error) => done([{impact: 'serious', id: String(error), nodes: []}]));";
    let found = page.client().execute_async(run, vec![]).await.unwrap();
    let serious: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|violation| ["serious", "critical"].contains(&violation["impact"].as_str().unwrap_or_default()))
        .map(|violation| {
            let nodes = violation["nodes"].as_array().unwrap().iter().take(3);
            let nodes: Vec<_> = nodes.map(|node| json!([node["target"], node["failureSummary"]])).collect();
            json!({"rule": violation["id"], "nodes": nodes})
        })
        .collect();
    assert!(serious.is_empty(), "{what}: {}", serde_json::to_string_pretty(&serious).unwrap());
}
