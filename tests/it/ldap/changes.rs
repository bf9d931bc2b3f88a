//! Reading only what changed, where a directory would keep silent about somebody: what an
//! account may not see, a server that was restored or is another one, an answer in parts.
//! Whenever it is not clear that everything was told, everything is read.

mod active_directory;
mod openldap;

use super::directory::{Directory, Person};

const TITLES: &str = "title = \"title\"\nmanager = false";

fn people(directory: &Directory, names: &[&str]) {
    for name in names {
        directory.join(&Person {
            key: name,
            given_name: "A",
            surname: "Person",
            mail: &format!("{name}@example.com"),
            title: "Clerk",
        });
    }
}
