//! Lets the demo page, and no other, take its own server down and up; faults never befall it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::app::App;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    down: bool,
}

/// `GET /demo/control`
pub(crate) async fn show(State(app): State<App>) -> Json<Switch> {
    Json(Switch { down: app.faults.is_down() })
}

/// `POST /demo/control`
pub(crate) async fn switch(State(app): State<App>, Json(switch): Json<Switch>) -> Json<Switch> {
    app.faults.set_down(switch.down);
    Json(switch)
}
