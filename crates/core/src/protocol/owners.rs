//! The request that says who is signed in.

use serde::{Deserialize, Serialize};

/// The request of [`Op::SetOwner`](super::Op::SetOwner).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "!SetOwner")]
pub struct SetOwner {
    /// None for nobody.
    pub owner: Option<String>,
    /// Remove everything of this owner; empty for nobody.
    pub purge: Option<String>,
}
