//! The scenarios: one folder, one story, one test. What a story expects was written by hand
//! from the design before the code; see `tests/scenarios/README.md`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::scenario::{Scenario, read_requests};
use crate::support::story::play;

/// Makes a test of every story named, and the list of them.
macro_rules! scenarios {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*
    };
}

scenarios! {
    abort_before_membership
    accounts_apply
    accounts_apply_held
    accounts_apply_protected
    active_column_vanishes
    adopt_by_email
    adopt_existing
    adopt_inactive
    adopt_other_case
    adopted_agreeing_changes
    ambiguous_match
    approve_changed
    approve_only_one
    approved_removals_once
    attribute_vanishes
    audit_tampered
    authoritative_group
    authoritative_group_held
    big_group_chunked
    case_change
    cleared_attribute
    clock_doubt
    config_typo
    create_refused_then_not_sent
    cut_row
    delete_after
    delete_after_active_again
    delete_after_limit
    delete_after_manager
    delete_after_missing
    delete_after_new_report
    delete_after_other_key
    delete_after_returned
    delete_after_set_later
    delete_after_source_fails
    deviation_accepted
    deviation_cursor_paging
    deviation_duplicate_members
    deviation_filters_find_nothing
    deviation_first_page_again
    deviation_hides_inactive
    deviation_hides_inactive_suspended
    deviation_hides_members
    deviation_html_errors
    deviation_ids_are_names
    deviation_ignores_filters
    deviation_ignores_filters_in_doubt
    deviation_ignores_paging
    deviation_ignores_patch
    deviation_keeps_deleted_members
    deviation_no_external_id
    deviation_no_filters
    deviation_no_id
    deviation_no_member_filter
    deviation_no_patch
    deviation_no_patch_accounts
    deviation_no_patch_path
    deviation_ref_required
    deviation_soft_deletes
    deviation_string_booleans
    deviation_wrong_totals
    disabled
    disabled_keeps_membership
    disabled_never_created
    drift_enforced
    drift_foreign_external_id
    drift_group
    drift_held_over_overwrites
    drift_left
    drift_listed
    drift_swapped_user_names
    drifted
    drifted_held_between_full_cycles
    duplicate_key
    empty_group
    empty_source
    explain_in_scope
    explain_out_of_scope
    explain_protected
    explicit_deactivations
    foreign_external_id
    forget_after
    group_adopt_existing
    group_by_failed_source
    group_by_fallback
    group_by_source_added
    group_delete_protected
    group_gone
    group_gone_delete
    group_gone_keep
    group_made_again_by_hand
    group_members_held
    group_members_held_one
    group_members_held_together
    group_name_clash
    group_name_cleared
    group_not_pushed_any_more
    group_rename
    held_follow_ups
    held_leavers_survive_unknown_scope
    held_survives_failed_source
    hidden_and_unmappable
    joiner
    keep_when_empty
    leaver_gone
    leaver_out_of_scope
    limit_over_people_and_groups
    limit_zero
    lost_deactivations_counted
    lost_post_answer
    lost_post_answer_in_doubt
    lost_rename_then_gone
    lost_switch_answer
    made_again_under_its_id
    mail_change
    manager_adopted
    manager_chain
    manager_cycle
    manager_late
    manager_leaves
    manager_made_again
    manager_unknown_id
    mapping_changed
    mass_leaver_held
    mass_leaver_restored
    member_made_again
    member_made_again_in_doubt
    members_in_scope
    missing_at_target
    membership_in_doubt
    missing_member_held
    missing_required
    moved_target_and_failed_source
    mover
    nested_cycle
    nested_direct
    nested_groups
    not_found
    one_held_blocks_nobody
    order_of_writes
    possible_rehire_held
    protected
    protected_membership
    rehire_key_set_later
    rehired
    rehired_in_one_run
    rehired_not_looked_at
    rehired_not_looked_at_gone
    release_before_joiner
    returned
    returned_but_deleted
    returned_memberships
    returned_memberships_as_a_list
    scope_group_made_again
    scope_group_missing
    scope_group_renamed
    scope_when
    secret_missing
    source_fails_other_goes_on
    stale
    stale_deactivated
    stale_is_no_probable_leaver
    state_lost
    state_lost_leaver_remembered
    state_lost_source_fails
    suspended_at_target
    switch_and_lookup
    sync_one_person
    sync_one_person_managers
    sync_one_person_rivals
    take_over
    target_down_mid_apply
    target_unreachable
    template_error_names_record
    template_types
    throttled
    token_refused
    two_sources_collide
    two_sources_join_added_later
    two_sources_join_contested
    two_sources_join_contested_leaver
    two_sources_join_never_read
    two_sources_join_second_fails
    two_sources_join_source_fails
    two_sources_joined
    two_sources_joined_at_one_target
    two_sources_joined_references
    two_targets_one_source
    undeclared_name_hint
    unicode_forms
    unknown_member
    unknown_member_appears
    unlinked
    username_swap
}

#[test]
fn every_story_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let folders: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the folder of scenarios")
        .map(|found| found.expect("a name in the folder of scenarios"))
        .filter(|found| found.path().is_dir())
        .map(|found| found.file_name().to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(folders, listed, "scenarios! and tests/scenarios must agree");
    assert_eq!(listed.len(), NAMES.len(), "a scenario is listed twice");
}

#[test]
fn every_story_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    for name in NAMES {
        for step in Scenario::read(&folder.join(name)).step {
            let requests = step.requests.unwrap_or_default();
            if let Err(why) = read_requests(&requests, "demo") {
                panic!("{name}, step `{}`: {why}", step.name);
            }
        }
    }
}
