// The page of the tests: puts the package's `connect` where the test runner can call it.
import { connect } from "/shearwater/page.js";

window.connect = connect;
window.ready = true;
