//! The checks that the fuzz targets share with the tests in `tests/bad_input`.

pub mod checks;
