// Loads the Rust page, and puts what it exports where the test runner can call it.
import initialise, { open } from "/rust/shearwater_rust_page.js";

await initialise();
window.openClient = open;
window.ready = true;
