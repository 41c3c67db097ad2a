//! Version 8: the indexes of records by their values, and of those that expired.
//!
//! Nothing is moved: rows of before are in no index that an app declares until its worker has written them anew. The number
//! keeps a worker of before, which would write records without their entries, from opening the database.

use shearwater_core::store::{EXPIRED_INDEX, Store, VALUE_INDEX};
use wasm_bindgen::JsValue;
use web_sys::{IdbIndexParameters, IdbTransaction};

pub(super) fn apply(upgrade: &IdbTransaction) -> Result<(), JsValue> {
    let options = IdbIndexParameters::new();
    options.set_multi_entry(true);
    let records = upgrade.object_store(Store::Records.as_str())?;
    records.create_index_with_str(EXPIRED_INDEX, EXPIRED_INDEX)?;
    records.create_index_with_str_and_optional_parameters(VALUE_INDEX, VALUE_INDEX, &options)?;
    Ok(())
}
