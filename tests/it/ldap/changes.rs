//! Reading only what changed, where a directory would keep silent about somebody: what an
//! account may not see, a server that was restored or is another one, an answer in parts.
//! Whenever it is not clear that everything was told, everything is read.

mod active_directory;
mod openldap;

const TITLES: &str = "title = \"title\"\nmanager = false";
