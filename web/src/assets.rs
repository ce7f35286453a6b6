//! The dashboard's files, which are part of the binary: plain ES modules, style sheets and one library with its licence.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// The digest of all files: they change together, with the binary.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    digest(&ASSETS, &mut hash);
    let digest: String = hash.finalize().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("\"{digest}\"")
});

fn digest(folder: &Dir<'_>, hash: &mut Sha256) {
    for file in folder.files() {
        hash.update(file.path().to_string_lossy().as_bytes());
        hash.update(file.contents());
    }
    folder.dirs().for_each(|folder| digest(folder, hash));
}

/// Browsers ask whether their copy is still right, and are told by its digest: after an upgrade no file is an old one.
const CACHE: &str = "no-cache";

pub(crate) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

pub(crate) async fn icon(headers: HeaderMap) -> Response {
    file("icon.svg", &headers)
}

pub(crate) async fn cli(headers: HeaderMap) -> Response {
    file("cli.html", &headers)
}

pub(crate) async fn style(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("css/{name}"), &headers)
}

pub(crate) async fn script(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("js/{name}"), &headers)
}

pub(crate) async fn library(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("vendor/{name}"), &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = ASSETS.get_file(name) else {
        return Failure::not_found().into_response();
    };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == TAG.as_bytes());
    let about = [
        (header::CONTENT_TYPE, content_type(name).to_owned()),
        (header::CACHE_CONTROL, CACHE.to_owned()),
        (header::ETAG, TAG.clone()),
    ];
    if known {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, file.contents()).into_response()
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page and the modules load is there, so that no page is empty because of a name.
    #[test]
    fn whatever_a_file_loads_is_there() {
        let mut checked = 0;
        let own = [ASSETS.get_file("index.html")].into_iter().flatten();
        let scripts = ["js", "js/pages"]
            .into_iter()
            .filter_map(|folder| ASSETS.get_dir(folder))
            .flat_map(Dir::files);
        for file in own.chain(scripts) {
            let name = file.path().to_string_lossy();
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let text = file.contents_utf8().unwrap_or_default();
            let imports = text
                .lines()
                .filter(|line| line.starts_with("import "))
                .filter_map(|line| line.split_once(" from '").map(|(_, rest)| rest.trim_end_matches("';")));
            let links = text
                .split(['"'])
                .filter(|part| !part.contains([' ', ':', '<', '#']) && part.contains('/') && name.ends_with(".html") && part.contains('.'));
            for target in imports.chain(links) {
                let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
                for part in target.split('/') {
                    match part {
                        "." => {}
                        ".." => drop(path.pop()),
                        part => path.push(part),
                    }
                }
                let path = path.join("/");
                assert!(ASSETS.get_file(&path).is_some(), "{name} loads {path}");
                checked += 1;
            }
        }
        assert!(checked > 40, "{checked} names were looked at");
    }
}
