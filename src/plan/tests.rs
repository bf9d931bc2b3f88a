//! The planning core: rows of the table, guards, userNames, groups, and what always holds.

mod apply;
mod claims;
mod doubts;
mod drift;
mod group_options;
mod groups;
mod guard;
mod joined;
mod long_gone;
mod lost_creations;
mod missing;
mod properties;
mod references;
mod rehires;
mod releases;
mod renamed;
mod render;
mod table;
mod world;

use render::rendered;
use world::World;
