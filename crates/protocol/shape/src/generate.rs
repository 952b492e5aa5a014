//! A reader that makes values up. (Filled below.)
