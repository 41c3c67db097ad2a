//! The request that says who is signed in.

/// The request of [`Op::SetOwner`](super::Op::SetOwner).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOwner {
    /// None for nobody.
    pub owner: Option<String>,
    /// Remove everything of this owner; empty for nobody.
    pub purge: Option<String>,
}
crate::record!(strict SetOwner { owner: "owner", purge: "purge" });
