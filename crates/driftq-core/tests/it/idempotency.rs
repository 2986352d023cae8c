//! Both scopes of idempotency keys.

use crate::story::check;
use expect_test::expect;

#[test]
fn p09_a_key_gets_the_first_answer_inside_its_window_and_across_a_restart() {
    check(
        "topic orders
         topic bills
         produce orders m0 idem=k
         restart
         produce orders other idem=k
         produce bills m0 idem=k
         produce orders m0 idem=k tenant=t
         produce orders a b idem=twice
         wait 86399999
         produce orders m0 idem=k
         wait 1
         produce orders m0 idem=k",
        expect![[r#"
            created 1
            created 1
            stored 0/0
            known 0/0
            stored 0/0
            stored 0/1
            known 0/2 0/2
            known 0/0
            stored 0/3
        "#]],
    );
}

#[test]
fn only_an_explicit_fingerprint_can_differ() {
    check(
        "topic orders
         produce orders m0 idem=k print=one
         produce orders m0 idem=k
         produce orders m0 idem=k print=one
         produce orders m0 idem=k print=two",
        expect![[r#"
            created 1
            stored 0/0
            known 0/0
            known 0/0
            refused: the idempotency key was used with another fingerprint; use a new key for another request
        "#]],
    );
}

#[test]
fn a_group_that_acked_a_key_does_not_see_it_again() {
    check(
        "topic orders
         produce orders m0 idem=k
         wait 86000000
         lease orders w ann
         ack orders w ann 0
         wait 500000
         produce orders again idem=k
         lease orders w ann
         lease orders other bob
         lag orders w",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            acked
            1 keys forgotten
            stored 0/1
            ann holds nothing
            bob holds 0/0 (attempt 1)
            lag 0
        "#]],
    );
}
