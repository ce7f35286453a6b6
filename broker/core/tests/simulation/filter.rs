//! What consumers want, as the oracle understands it and as the shards do.

use std::sync::Arc;

use stoa_core::space::Template;

use crate::rng::Rng;

/// Messages by their header `k`; 0: without it.
#[derive(Clone, Copy, Debug)]
pub enum Filter {
    Is(usize),
    Below(usize),
    Absent,
}

impl Filter {
    pub fn any(rng: &mut Rng) -> Self {
        let key = rng.range(1, 7);
        match rng.below(5) {
            0 => Self::Absent,
            1 | 2 => Self::Below(key),
            _ => Self::Is(key),
        }
    }

    pub fn wants(self, key: usize) -> bool {
        match self {
            Self::Is(wanted) => key == wanted,
            Self::Below(bound) => key > 0 && key < bound,
            Self::Absent => key == 0,
        }
    }

    pub fn template(self) -> Arc<Template> {
        let text = match self {
            Self::Is(wanted) => format!(r#"{{"k": {wanted}}}"#),
            Self::Below(bound) => format!(r#"{{"k": {{"lt": {bound}}}}}"#),
            Self::Absent => r#"{"k": {"exists": false}}"#.into(),
        };
        Arc::new(Template::from_json(text.as_bytes()).expect("a template"))
    }
}
