(* SPDX-License-Identifier: BSD-2-Clause *)
(** * Updates: any number of threads, one compare-and-swap each

    A thread that maps or unmaps k pages of a folio reads the word, computes the
    new one and offers it with a 16-byte compare-and-swap, again and again until
    it is taken.  This file lets any number of threads do so, their steps in any
    order, and shows that at every instant the word is that of the list of
    mappings; so that one atomic read of it tells the truth about that instant.

    What a thread believes the word to be may be anything at all: stale, loaded in
    two halves, what a failed compare-and-swap brought back.  The swap compares.

    What is taken for granted, and by what the code provides it:
      - the compare-and-swap and a reader's load are atomic (cmpxchg16b, casp);
      - a mapping is taken away once: whoever begins to unmap it has found its
        entry under the page-table lock and cleared it, which is [begin_unmap]. *)

Require Import ZArith List Lia Permutation Bool.
From Quire Require Import Moments Word.
Import ListNotations.
Open Scope Z_scope.

(** ** The machine *)

Definition thread := nat.

(** A mapping counted in the word: the id, and the thread, if any, that has
    cleared its entry and will take it out of the word. *)
Definition mapping : Type := Z * option thread.

Definition mapping_dec (a b : mapping) : {a = b} + {a <> b}.
Proof. repeat decide equality. Defined.

Inductive request :=
| Map (x : Z) (k : nat)
| Unmap (x : Z) (k : nat).

Definition id_of (what : request) : Z :=
  match what with Map x _ | Unmap x _ => x end.

(** A thread is idle, or has a request and believes the word to be [seen]. *)
Inductive activity :=
| Idle
| Busy (what : request) (seen : Z).

Record state := {
  word : Z;                          (* the 16 bytes *)
  mappings : list mapping;           (* what they should stand for *)
  doing : thread -> activity;
}.

Definition ids (s : state) : list Z := map fst (mappings s).

Definition become (s : state) (t : thread) (a : activity) : thread -> activity :=
  fun u => if Nat.eqb u t then a else doing s u.

(** One step of one thread:
      - it begins to map: whatever it first believes the word to be;
      - it begins to unmap k mappings that nobody else is taking away;
      - it believes something else, because its swap failed or for no reason;
      - it gives up mapping, for what it believes leaves no room: nothing changes;
      - its swap finds the word that it believed in, and takes place. *)
Inductive step (s : state) : state -> Prop :=
| begin_map t x k seen :
    doing s t = Idle -> valid_id x ->
    step s {| word := word s; mappings := mappings s;
              doing := become s t (Busy (Map x k) seen) |}
| begin_unmap t x k seen others :
    doing s t = Idle -> valid_id x ->
    Permutation (mappings s) (repeat (x, None) k ++ others) ->
    step s {| word := word s; mappings := repeat (x, Some t) k ++ others;
              doing := become s t (Busy (Unmap x k) seen) |}
| look_again t what before seen :
    doing s t = Busy what before ->
    step s {| word := word s; mappings := mappings s;
              doing := become s t (Busy what seen) |}
| refuse t x k seen :
    doing s t = Busy (Map x k) seen -> room k seen = false ->
    step s {| word := word s; mappings := mappings s; doing := become s t Idle |}
| swap_map t x k seen :
    doing s t = Busy (Map x k) seen -> room k seen = true -> seen = word s ->
    step s {| word := add128 seen (moments_of (Z.of_nat k) x);
              mappings := repeat (x, None) k ++ mappings s;
              doing := become s t Idle |}
| swap_unmap t x k seen others :
    doing s t = Busy (Unmap x k) seen -> seen = word s ->
    Permutation (mappings s) (repeat (x, Some t) k ++ others) ->
    step s {| word := sub128 seen (moments_of (Z.of_nat k) x); mappings := others;
              doing := become s t Idle |}.

(** A folio begins with the first k mappings of whoever made it, which may be
    none; nobody else sees it yet. *)
Definition fresh (x : Z) (k : nat) : state :=
  {| word := moments_of (Z.of_nat k) x; mappings := repeat (x, None) k;
     doing := fun _ => Idle |}.

Inductive reachable : state -> Prop :=
| begin x k : valid_id x -> Z.of_nat k <= max_mappings -> reachable (fresh x k)
| go_on s s' : reachable s -> step s s' -> reachable s'.

(** ** The invariant *)

Definition owed (a : activity) (x : Z) : nat :=
  match a with
  | Busy (Unmap y k) _ => if Z.eq_dec y x then k else 0
  | _ => 0
  end.

Record invariant (s : state) : Prop := {
  inv_valid : valid (ids s);
  inv_word : word s = word_of (ids s);
  inv_owed : forall t x, count_occ mapping_dec (mappings s) (x, Some t) = owed (doing s t) x;
  inv_requests : forall t what seen, doing s t = Busy what seen -> valid_id (id_of what);
}.

Lemma ids_run x o k l : map fst (repeat (x, o) k ++ l : list mapping) = repeat x k ++ map fst l.
Proof. rewrite map_app. f_equal. induction k as [|k IH]; cbn; congruence. Qed.

Lemma ids_of_permutation (l : list mapping) x o k others :
  Permutation l (repeat (x, o) k ++ others) ->
  Permutation (map fst l) (repeat x k ++ map fst others).
Proof. intro P. rewrite <- (ids_run x o k others). apply Permutation_map. exact P. Qed.

Lemma valid_permutation l r : Permutation l r -> valid l -> valid r.
Proof.
  intros P [Ids Max]. split.
  - rewrite Forall_forall in *. intros a In. apply Ids.
    apply (Permutation_in a (Permutation_sym P) In).
  - destruct (order_is_forgotten l r P) as [<- _]. exact Max.
Qed.

Lemma valid_rest l r : valid (l ++ r) -> valid r.
Proof.
  intros [Ids Max]. apply Forall_app in Ids as [_ Ids]. rewrite count_app in Max.
  pose proof (count_nonneg l). split; [exact Ids | lia].
Qed.

Lemma valid_run x k l : valid_id x -> valid l -> count l + Z.of_nat k <= max_mappings ->
  valid (repeat x k ++ l).
Proof.
  intros Id [Ids _] Max. split.
  - apply Forall_app. split; [|exact Ids].
    apply Forall_forall. intros a In. apply repeat_spec in In. congruence.
  - rewrite count_app, count_repeat. lia.
Qed.

Lemma count_in_run (a b : mapping) k :
  count_occ mapping_dec (repeat a k) b = if mapping_dec a b then k else 0%nat.
Proof.
  induction k as [|k IH]; cbn [repeat count_occ].
  - destruct (mapping_dec a b); reflexivity.
  - rewrite IH. destruct (mapping_dec a b); reflexivity.
Qed.

(** An occurrence count of k is a run of k that can be taken out. *)
Lemma take_run (a : mapping) k : forall l, count_occ mapping_dec l a = k ->
  exists others, Permutation l (repeat a k ++ others).
Proof.
  induction k as [|k IH]; intros l Count.
  - exists l. reflexivity.
  - assert (Found : In a l) by (apply (count_occ_In mapping_dec); lia).
    apply in_split in Found as (before & after & ->).
    destruct (IH (before ++ after)) as [others P].
    + rewrite count_occ_app in *. cbn [count_occ] in Count.
      destruct (mapping_dec a a); [lia | congruence].
    + exists others. cbn [repeat app].
      rewrite <- Permutation_middle, P. reflexivity.
Qed.

Lemma count_after (l others : list mapping) a k b :
  Permutation l (repeat a k ++ others) ->
  count_occ mapping_dec l b =
    ((if mapping_dec a b then k else 0) + count_occ mapping_dec others b)%nat.
Proof.
  intro P. apply (Permutation_count_occ mapping_dec) with (x := b) in P.
  rewrite P, count_occ_app, count_in_run. reflexivity.
Qed.

(** Thread t's move to [a] settles all debts if it settles its own and leaves
    the others' mappings alone. *)
Lemma debts s l t a :
  (forall u x, count_occ mapping_dec (mappings s) (x, Some u) = owed (doing s u) x) ->
  (forall x, count_occ mapping_dec l (x, Some t) = owed a x) ->
  (forall u x, u <> t ->
    count_occ mapping_dec l (x, Some u) = count_occ mapping_dec (mappings s) (x, Some u)) ->
  forall u x, count_occ mapping_dec l (x, Some u) = owed (become s t a u) x.
Proof.
  intros Owed Mine Theirs u x. unfold become. destruct (Nat.eqb_spec u t) as [->|Other].
  - apply Mine.
  - rewrite (Theirs u x Other). apply Owed.
Qed.

Lemma requests s t a :
  (forall u what seen, doing s u = Busy what seen -> valid_id (id_of what)) ->
  (forall what seen, a = Busy what seen -> valid_id (id_of what)) ->
  forall u what seen, become s t a u = Busy what seen -> valid_id (id_of what).
Proof.
  intros Before Mine u what seen. unfold become.
  destruct (Nat.eqb u t); [apply Mine | apply Before].
Qed.

Lemma invariant_fresh x k : valid_id x -> Z.of_nat k <= max_mappings ->
  invariant (fresh x k).
Proof.
  intros Id Max.
  assert (Ids : ids (fresh x k) = repeat x k).
  { unfold ids. cbn [mappings fresh]. rewrite <- (app_nil_r (repeat _ k)), ids_run.
    apply app_nil_r. }
  constructor; rewrite ?Ids; cbn [fresh word mappings doing].
  - rewrite <- (app_nil_r (repeat x k)). apply valid_run; [exact Id | | exact Max].
    split; [constructor | discriminate].
  - symmetry. apply word_of_one_id, Id.
  - intros t y. rewrite count_in_run.
    destruct (mapping_dec (x, @None thread) (y, Some t)); [discriminate | reflexivity].
  - discriminate.
Qed.

Lemma invariant_step s s' : invariant s -> step s s' -> invariant s'.
Proof.
  intros [Valid Word Owed Requests] Step.
  destruct Step as
    [ t x k seen Doing Id
    | t x k seen others Doing Id P
    | t what before seen Doing
    | t x k seen Doing NoRoom
    | t x k seen Doing Room Seen
    | t x k seen others Doing Seen P ]; unfold ids in *;
    pose proof (fun y => Owed t y) as Mine; rewrite Doing in Mine; cbn [owed] in Mine;
    constructor; unfold ids; cbn [word mappings doing];
    try exact Valid; try exact Word;
    try (apply requests; [exact Requests | try discriminate]);
    try (apply debts; [exact Owed | | ]; [try exact Mine | try reflexivity]).
  - (* begin_map: the id of the request *)
    intros what e E. injection E as <- _. exact Id.
  - (* begin_unmap: nothing leaves the list *)
    rewrite ids_run. apply (valid_permutation _ _ (ids_of_permutation _ _ _ _ _ P) Valid).
  - rewrite Word, ids_run. apply word_forgets_order, (ids_of_permutation _ _ _ _ _ P).
  - (* ... but k mappings now are this thread's to take away *)
    intro y. pose proof (Mine y) as Before.
    rewrite (count_after _ _ _ _ _ P) in Before. revert Before.
    rewrite count_occ_app, count_in_run. cbn [owed].
    destruct (mapping_dec (x, @None thread) (y, Some t)); [discriminate|].
    destruct (mapping_dec (x, Some t) (y, Some t)), (Z.eq_dec x y);
      try congruence; unfold mapping; lia.
  - intros u y Other. rewrite (count_after _ _ _ _ _ P), count_occ_app, count_in_run.
    destruct (mapping_dec (x, Some t) (y, Some u)); [congruence|].
    destruct (mapping_dec (x, @None thread) (y, Some u)); [discriminate | reflexivity].
  - intros what e E. injection E as <- _. exact Id.
  - (* look_again: the request is what it was *)
    intros now e E. injection E as <- _. exact (Requests _ _ _ Doing).
  - (* swap_map: there was room in the word, so there is room in the list *)
    subst seen. rewrite Word in Room. apply (room_is_exact _ _ Valid) in Room.
    rewrite ids_run. apply valid_run; [exact (Requests _ _ _ Doing) | exact Valid | exact Room].
  - subst seen. rewrite Word, ids_run. symmetry. apply one_addition, (Requests _ _ _ Doing).
  - intro y. rewrite count_occ_app, count_in_run, Mine.
    destruct (mapping_dec (x, @None thread) (y, Some t)); [discriminate | reflexivity].
  - intros u y Other. rewrite count_occ_app, count_in_run.
    destruct (mapping_dec (x, @None thread) (y, Some u)); [discriminate | reflexivity].
  - (* swap_unmap: k mappings of x leave the list and the word *)
    apply ids_of_permutation in P. apply (valid_permutation _ _ P) in Valid.
    exact (valid_rest _ _ Valid).
  - subst seen. apply ids_of_permutation, word_forgets_order in P.
    rewrite Word, P. symmetry. apply one_subtraction, (Requests _ _ _ Doing).
  - intro y. pose proof (Mine y) as Held. rewrite (count_after _ _ _ _ _ P) in Held. revert Held.
    destruct (mapping_dec (x, Some t) (y, Some t)), (Z.eq_dec x y);
      try congruence; cbn [owed]; unfold mapping; lia.
  - intros u y Other. rewrite (count_after _ _ _ _ _ P).
    destruct (mapping_dec (x, Some t) (y, Some u)); [congruence | reflexivity].
Qed.

Lemma always s : reachable s -> invariant s.
Proof. induction 1; [apply invariant_fresh; assumption | eapply invariant_step; eassumption]. Qed.

(** ** What holds at every instant, whatever the interleaving *)

(** claim: in every interleaving, at every instant, the word is that of the mappings *)
Theorem word_is_always_the_mappings s : reachable s -> word s = word_of (ids s).
Proof. intro R. apply (always s R). Qed.

(** claim: a mapping that would pass 2^22 - 1 is never made *)
Theorem never_too_many s : reachable s -> count (ids s) <= max_mappings.
Proof. intro R. apply (always s R). Qed.

(** claim: it is refused exactly when it would pass that; 8 bytes read at once are enough to tell *)
Theorem refusal_is_exact s k : reachable s ->
  (room k (low_half (word s)) = false <-> max_mappings < count (ids s) + Z.of_nat k).
Proof.
  intro R. destruct (always s R) as [Valid Word _ _].
  unfold room. rewrite count_is_in_the_low_half. fold (room k (word s)).
  rewrite Word, <- not_true_iff_false, (room_is_exact k _ Valid). lia.
Qed.

(** claim: once back at 2^19 mappings or fewer the fields are exact, however many there were *)
Theorem exact_again s : reachable s -> small (ids s) ->
  field_n (word s) = count (ids s) /\
  field_s (word s) = sum (ids s) /\
  field_q (word s) = squares (ids s).
Proof.
  intros R Small. destruct (always s R) as [[Ids _] Word _ _]. rewrite Word.
  apply fields_are_exact; assumption.
Qed.

(** claim: one atomic read decides whether x alone maps the folio at that instant *)
Theorem one_read_decides_for_x s x : reachable s -> valid_id x -> small (ids s) ->
  (all_of x (word s) = true <-> ids s <> [] /\ only x (ids s)).
Proof.
  intros R Id Small. destruct (always s R) as [Valid Word _ _]. rewrite Word.
  rewrite (all_of_is_exact x _ Valid Id). tauto.
Qed.

(** claim: one atomic read decides whether several map it, and if not, who does *)
Theorem one_read_decides s : reachable s -> small (ids s) ->
  (of_several (word s) = false <-> all_equal (ids s)) /\
  (ids s <> [] -> of_several (word s) = false -> only (owner (word s)) (ids s)).
Proof.
  intros R Small. destruct (always s R) as [Valid Word _ _]. rewrite Word. split.
  - rewrite (of_several_is_exact _ Valid). tauto.
  - apply owner_is_exact, Valid.
Qed.

(** claim: with any number of mappings "exclusive" is never said wrongly *)
Theorem never_falsely_exclusive s x : reachable s -> valid_id x ->
  (all_of x (word s) = true -> only x (ids s)) /\
  (of_several (word s) = false -> all_equal (ids s)).
Proof.
  intros R Id. destruct (always s R) as [Valid Word _ _]. rewrite Word.
  rewrite (all_of_is_exact x _ Valid Id), (of_several_is_exact _ Valid). tauto.
Qed.

(** claim: a reader that gives up after the low half is right: somebody else maps it, too *)
Theorem giving_up_early_is_right s x : reachable s -> valid_id x ->
  low_half (word s) <> low_half (moments_of (field_n (low_half (word s))) x) ->
  ~ only x (ids s).
Proof.
  intros R Id. destruct (always s R) as [Valid Word _ _]. rewrite Word.
  apply low_half_refutes; assumption.
Qed.

(** claim: and the number of mappings in the low half is always exact, zero included *)
Theorem count_is_always_right s : reachable s ->
  field_n (low_half (word s)) = count (ids s) /\
  (field_n (word s) = 0 <-> mappings s = []).
Proof.
  intro R. destruct (always s R) as [Valid Word _ _].
  rewrite count_is_in_the_low_half, Word. split.
  - apply count_is_always_exact, Valid.
  - rewrite (unmapped_by_count _ Valid). unfold ids.
    destruct (mappings s); split; (reflexivity || discriminate).
Qed.

(** ** The model assumes no more than it says *)

(** claim: an unmapper whose swap finds the word it expects always succeeds: its mappings are there *)
Theorem unmap_never_stuck s t x k seen : reachable s ->
  doing s t = Busy (Unmap x k) seen -> seen = word s ->
  exists s', step s s' /\ doing s' t = Idle.
Proof.
  intros R Doing Seen. destruct (always s R) as [_ _ Owed _].
  specialize (Owed t x). rewrite Doing in Owed. cbn [owed] in Owed.
  destruct (Z.eq_dec x x) as [_|]; [|congruence].
  destruct (take_run _ _ _ Owed) as [others P].
  eexists. split.
  - eapply swap_unmap; eassumption.
  - cbn [doing]. unfold become. rewrite Nat.eqb_refl. reflexivity.
Qed.

(** claim: while k mappings are being taken away the count is at least k, as the code checks *)
Theorem unmapper_is_counted s t x k seen : reachable s ->
  doing s t = Busy (Unmap x k) seen -> Z.of_nat k <= field_n (low_half (word s)).
Proof.
  intros R Doing. destruct (count_is_always_right s R) as [-> _].
  destruct (always s R) as [_ _ Owed _]. specialize (Owed t x).
  rewrite Doing in Owed. cbn [owed] in Owed.
  destruct (Z.eq_dec x x) as [_|]; [|congruence].
  destruct (take_run _ _ _ Owed) as [others P].
  apply ids_of_permutation, order_is_forgotten in P as [Count _].
  unfold ids. rewrite Count, count_app, count_repeat.
  pose proof (count_nonneg (map fst others)). lia.
Qed.

(** claim: once x alone maps the folio, only a map under another id can end that *)
Theorem only_a_stranger_ends_it s s' x : only x (ids s) -> step s s' ->
  only x (ids s') \/
  exists t y k, doing s t = Busy (Map y k) (word s) /\ y <> x.
Proof.
  unfold only. intros Only Step. destruct Step as
    [ | ? y k ? others ? _ P | | | t y k seen Doing _ Seen | ? y k ? others ? _ P ];
    unfold ids in *; cbn [mappings]; auto.
  - left. rewrite ids_run. apply ids_of_permutation in P.
    rewrite Forall_forall in *. intros a In. apply Only.
    apply (Permutation_in a (Permutation_sym P) In).
  - destruct (Z.eq_dec y x) as [->|Stranger].
    + left. rewrite ids_run. apply Forall_app. split; [|exact Only].
      apply Forall_forall. intros a In. apply repeat_spec in In. congruence.
    + right. exists t, y, k. rewrite Doing, Seen. auto.
  - left. apply ids_of_permutation in P.
    rewrite Forall_forall in *. intros a In. apply Only.
    apply (Permutation_in a (Permutation_sym P)), in_or_app. auto.
Qed.

(** ** Why the read must be of all 16 bytes at once *)

Definition torn (low_of high_of : Z) : Z :=
  low_half low_of + Z.shiftl (Z.shiftr high_of 64) 64.

(** claim: read in two halves, 1 unmapping in between: {1, 3} becomes {3}, the reader says "2 alone" *)
Theorem torn_read_lies :
  let before := [1; 3] in
  let after := [3] in
  all_of 2 (torn (word_of before) (word_of after)) = true /\
  ~ In 2 before /\ ~ In 2 after.
Proof.
  split; [vm_compute; reflexivity|]. cbn [In]. lia.
Qed.
