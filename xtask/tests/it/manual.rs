//! The manual says what the code says.

use xtask::{Tree, manual};

#[test]
fn the_page_about_the_configuration_is_fresh() {
    assert!(manual::is_fresh(&Tree::here()).unwrap(), "out of date; try: cargo xtask manual");
}
