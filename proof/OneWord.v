(* SPDX-License-Identifier: BSD-2-Clause *)
(** * One word: the moments and the references that are no mappings

        bits   0..15   r   references             16 bits
        bits  16..34   n   how many mappings      19 bits
        bits  35..71   S   sum of the ids         37 bits
        bits  72..127  T   sum of a (a - 1) / 2   56 bits

    Ids are below 2^20, mappings at most 2^19 - 1, references at most 2^16 - 1: what
    would pass these is refused.  Up to 2^17 mappings all fields are exact.  This
    file shows of the smaller fields what Word.v shows of the larger, and what
    the references add: one read tells that all mappings are x's and that nobody
    has another reference, and the word is 0 exactly when nobody has anything.

    That any interleaving of compare-and-swaps keeps the word is Updates.v's: it
    uses of the word only that additions and subtractions are exact, which is
    proven here again ([one_update]). *)

Require Import ZArith List Lia Permutation Bool.
From Quire Require Import Moments Word.
Import ListNotations.
Open Scope Z_scope.

Definition r_width := 16.
Definition n_width := 19.
Definition s_width := 37.
Definition t_width := 56.
Definition n_from := r_width.
Definition s_from := n_from + n_width.
Definition t_from := s_from + s_width.

Definition last_id := 2 ^ 20 - 1.
Definition most_mappings := 2 ^ 19 - 1.
Definition most_exact := 2 ^ 17.
Definition most_references := 2 ^ 16 - 1.

Definition fair_id (x : Z) : Prop := 0 <= x <= last_id.
Definition fair (l : list Z) (r : Z) : Prop :=
  Forall fair_id l /\ count l <= most_mappings /\ 0 <= r <= most_references.
Definition few (l : list Z) : Prop := count l <= most_exact.

(** ** Half of what squares sum up to *)

Definition pairs (a : Z) : Z := a * (a - 1) / 2.
Fixpoint halves (l : list Z) : Z :=
  match l with [] => 0 | a :: rest => pairs a + halves rest end.

Lemma pairs_twice a : 2 * pairs a = a * a - a.
Proof.
  unfold pairs. assert (Even : a * (a - 1) mod 2 = 0).
  { rewrite Zmult_mod, Zminus_mod. pose proof (Z.mod_pos_bound a 2 eq_refl).
    assert (Cases : a mod 2 = 0 \/ a mod 2 = 1) by lia.
    destruct Cases as [E | E]; rewrite E; reflexivity. }
  pose proof (Z.div_mod (a * (a - 1)) 2 ltac:(discriminate)). lia.
Qed.

(** claim: the squares are twice the halves and the sum, so a bit of the field is saved *)
Theorem halves_are_enough l : squares l = 2 * halves l + sum l.
Proof.
  induction l as [|a l IH]; [reflexivity|].
  cbn [halves]. change (squares (a :: l)) with (a * a + squares l).
  change (sum (a :: l)) with (a + sum l). pose proof (pairs_twice a). lia.
Qed.

Lemma halves_app l r : halves (l ++ r) = halves l + halves r.
Proof. induction l as [|a l IH]; cbn [app halves]; [reflexivity | rewrite IH; ring]. Qed.

Lemma halves_repeat x k : halves (repeat x k) = Z.of_nat k * pairs x.
Proof.
  induction k as [|k IH]; [reflexivity|].
  cbn [repeat halves]. rewrite IH, Nat2Z.inj_succ. ring.
Qed.

(** ** The word *)

Definition lay (r n s t : Z) : Z := r + n * 2 ^ n_from + s * 2 ^ s_from + t * 2 ^ t_from.
Definition one_word (l : list Z) (r : Z) : Z := wrap (lay r (count l) (sum l) (halves l)).

(** one_word_of: k mappings of x and no reference. *)
Definition one_word_of (k x : Z) : Z := wrap (k * lay 0 1 x (pairs x)).

Definition get_r (w : Z) : Z := Z.land w (Z.ones r_width).
Definition get_n (w : Z) : Z := Z.land (Z.shiftr w n_from) (Z.ones n_width).
Definition get_s (w : Z) : Z := Z.land (Z.shiftr w s_from) (Z.ones s_width).
Definition get_t (w : Z) : Z := Z.shiftr w t_from.
Definition without_r (w : Z) : Z := w - get_r w.

(** one_word_all_of, and the same with no reference left (all_mine). *)
Definition is_all_of (x w : Z) : bool :=
  negb (get_n w =? 0) && (get_n w <=? most_exact) &&
  (without_r w =? one_word_of (get_n w) x).
Definition is_all_mine (x w : Z) : bool := (get_r w =? 0) && is_all_of x w.

(** one_word_of_several *)
Definition is_of_several (w : Z) : bool :=
  (most_exact <? get_n w)
  || negb (mul128 (get_n w) (2 * get_t w + get_s w) =? mul128 (get_s w) (get_s w)).

(** claim: the four fields lie side by side and fill 128 bits *)
Theorem four_fields_fill_the_word :
  n_from = 0 + r_width /\ s_from = n_from + n_width /\ t_from = s_from + s_width /\
  t_from + t_width = 128.
Proof. repeat split. Qed.

Lemma halves_bounds l : Forall fair_id l ->
  0 <= sum l <= count l * last_id /\ 0 <= 2 * halves l <= count l * (last_id * (last_id - 1)).
Proof.
  intro Ids. split; [apply sum_bounds; exact Ids|].
  induction Ids as [|a l Id Ids IH].
  - cbn. lia.
  - cbn [halves]. rewrite count_cons. pose proof (pairs_twice a).
    unfold fair_id, last_id in *. nia.
Qed.

(** claim: up to 2^17 mappings none of them overflows *)
Theorem four_fields_never_overflow l r : fair l r -> few l ->
  0 <= r < 2 ^ r_width /\ 0 <= count l < 2 ^ n_width /\ 0 <= sum l < 2 ^ s_width /\
  0 <= halves l < 2 ^ t_width.
Proof.
  intros (Ids & _ & R) Few. pose proof (halves_bounds l Ids). pose proof (count_nonneg l).
  unfold few, most_exact, most_references, last_id, r_width, n_width, s_width, t_width in *.
  lia.
Qed.

(** ** One update *)

Lemma lay_linear r n s t r' n' s' t' :
  lay (r + r') (n + n') (s + s') (t + t') = lay r n s t + lay r' n' s' t'.
Proof. unfold lay. ring. Qed.

(** claim: k mappings of x come and h references go, or the other way round, by one addition *)
Theorem one_update k x l r h :
  one_word (repeat x k ++ l) r = wrap (one_word l (r + h) + one_word_of (Z.of_nat k) x - h).
Proof.
  unfold one_word, one_word_of, wrap.
  rewrite Zminus_mod, <- Zplus_mod, <- Zminus_mod. f_equal.
  rewrite halves_app, halves_repeat.
  destruct (batch_adds x k l) as (-> & -> & _). unfold lay. ring.
Qed.

(** ** Reading *)

Lemma lay_below r n s t : lay r n s t = r + (n + (s + t * 2 ^ s_width) * 2 ^ n_width) * 2 ^ r_width.
Proof.
  unfold lay, t_from, s_from, n_from. rewrite !Z.pow_add_r by discriminate. ring.
Qed.

Lemma take_low a b bits : 0 <= bits -> 0 <= a < 2 ^ bits -> (a + b * 2 ^ bits) mod 2 ^ bits = a.
Proof. intros. rewrite Z_mod_plus_full. apply Z.mod_small. assumption. Qed.

Lemma drop_low a b bits : 0 <= bits -> 0 <= a < 2 ^ bits -> (a + b * 2 ^ bits) / 2 ^ bits = b.
Proof.
  intros. rewrite Z.div_add by (apply Z.pow_nonzero; lia). rewrite Z.div_small by assumption.
  reflexivity.
Qed.

(** Of a word that ran over: what is above is another number, no more. *)
Lemma wrap_lay r n s t : exists above,
  wrap (lay r n s t) = r + (n + above * 2 ^ n_width) * 2 ^ r_width.
Proof.
  unfold wrap. pose proof (Z.div_mod (lay r n s t) modulus ltac:(discriminate)) as E.
  exists (s + t * 2 ^ s_width - lay r n s t / modulus * 2 ^ 93).
  rewrite lay_below in E at 1. unfold modulus, n_width, r_width in *.
  change (2 ^ 128) with (2 ^ 93 * 2 ^ 19 * 2 ^ 16) in *. lia.
Qed.

(** claim: references and mappings are counted exactly, even where S and T have overflowed *)
Theorem both_counts_are_exact l r : fair l r ->
  get_r (one_word l r) = r /\ get_n (one_word l r) = count l.
Proof.
  intros (_ & Max & R). pose proof (count_nonneg l).
  unfold one_word. destruct (wrap_lay r (count l) (sum l) (halves l)) as [above ->].
  assert (Hr : 0 <= r < 2 ^ r_width) by (unfold most_references, r_width in *; lia).
  assert (Hn : 0 <= count l < 2 ^ n_width) by (unfold most_mappings, n_width in *; lia).
  unfold get_r, get_n, n_from.
  rewrite !Z.land_ones, Z.shiftr_div_pow2 by discriminate.
  rewrite take_low, drop_low by (exact Hr || discriminate). split; [reflexivity|].
  apply take_low; [discriminate | exact Hn].
Qed.

Lemma upper_fields r n s t :
  0 <= r < 2 ^ r_width -> 0 <= n < 2 ^ n_width -> 0 <= s < 2 ^ s_width -> 0 <= t < 2 ^ t_width ->
  get_s (wrap (lay r n s t)) = s /\ get_t (wrap (lay r n s t)) = t.
Proof.
  intros Hr Hn Hs Ht.
  assert (Fits : wrap (lay r n s t) = lay r n s t).
  { apply Z.mod_small.
    unfold lay, modulus, t_from, s_from, n_from, r_width, n_width, s_width, t_width in *. lia. }
  rewrite Fits, lay_below. unfold get_s, get_t, t_from, s_from, n_from.
  rewrite Z.land_ones, !Z.shiftr_div_pow2 by discriminate.
  rewrite !Z.pow_add_r, <- !Z.div_div by (reflexivity || discriminate).
  rewrite !drop_low by (assumption || discriminate). split; [|reflexivity].
  apply take_low; [discriminate | assumption].
Qed.

Lemma exact_fields l r : fair l r -> few l ->
  get_s (one_word l r) = sum l /\ get_t (one_word l r) = halves l.
Proof.
  intros Fair Few. destruct (four_fields_never_overflow l r Fair Few) as (Hr & Hn & Hs & Ht).
  apply upper_fields; assumption.
Qed.

(** claim: the word is 0 exactly when there is no mapping and no reference: then the folio is free *)
Theorem zero_is_free l r : fair l r -> (one_word l r = 0 <-> l = [] /\ r = 0).
Proof.
  intro Fair. destruct (both_counts_are_exact l r Fair) as [R N]. split.
  - intro Zero. rewrite Zero in R, N. split; [|rewrite <- R; reflexivity].
    apply count_zero. rewrite <- N. reflexivity.
  - intros [-> ->]. reflexivity.
Qed.

(** ** The answers *)

(** Without its references the word is that of the mappings alone. *)
Lemma references_come_off l r : fair l r -> without_r (one_word l r) = one_word l 0.
Proof.
  intro Fair. unfold without_r. destruct (both_counts_are_exact l r Fair) as [-> _].
  pose proof (one_update 0 0 l 0 r) as E. cbn [repeat app Z.of_nat] in E.
  rewrite E. unfold one_word_of. cbn [Z.mul]. change (wrap 0) with 0.
  rewrite Z.add_0_r, Z.add_0_l. symmetry. apply Z.mod_small.
  (* what is left is the word with its lowest field empty *)
  unfold one_word. destruct (wrap_lay r (count l) (sum l) (halves l)) as [above W].
  destruct Fair as (_ & Max & R). pose proof (count_nonneg l).
  pose proof (Z.mod_pos_bound (lay r (count l) (sum l) (halves l)) modulus eq_refl) as B.
  fold (wrap (lay r (count l) (sum l) (halves l))) in B. rewrite W in *.
  unfold most_mappings, most_references, n_width, r_width, modulus in *. lia.
Qed.

Lemma only_has_its_one_word x l : only x l -> one_word l 0 = one_word_of (count l) x.
Proof.
  intro Only. rewrite (only_is_repeat x l Only) at 1.
  pose proof (one_update (length l) x [] 0 0) as E. rewrite app_nil_r in E. rewrite E.
  change (one_word [] (0 + 0)) with 0.
  unfold count, one_word_of, wrap. rewrite Z.sub_0_r, Z.add_0_l, Z.mod_mod by discriminate.
  reflexivity.
Qed.

(** claim: "all of x" is said exactly when x alone maps the folio, up to 2^17 times *)
Theorem is_all_of_is_exact x l r : fair l r -> fair_id x ->
  (is_all_of x (one_word l r) = true <-> l <> [] /\ few l /\ only x l).
Proof.
  intros Fair Id. unfold is_all_of. rewrite (references_come_off l r Fair).
  destruct (both_counts_are_exact l r Fair) as [_ ->].
  rewrite !andb_true_iff, negb_true_iff, Z.eqb_neq, Z.leb_le, Z.eqb_eq, count_zero.
  fold (few l). split.
  - intros [[Mapped Few] Word]. split; [exact Mapped|]. split; [exact Few|].
    assert (Run : one_word l 0 = one_word (repeat x (length l)) 0).
    { pose proof (one_update (length l) x [] 0 0) as E. rewrite app_nil_r in E. rewrite E.
      change (one_word [] (0 + 0)) with 0. rewrite Word.
      unfold count, one_word_of, wrap. rewrite Z.sub_0_r, Z.add_0_l, Z.mod_mod by discriminate.
      reflexivity. }
    destruct Fair as (Ids & Max & _).
    assert (Fair0 : fair l 0).
    { split; [exact Ids|]. split; [exact Max|]. unfold most_references. lia. }
    assert (FairRun : fair (repeat x (length l)) 0).
    { split; [|split].
      - apply Forall_forall. intros a In. apply repeat_spec in In. congruence.
      - rewrite count_repeat. exact Max.
      - unfold most_references. lia. }
    assert (FewRun : few (repeat x (length l))).
    { unfold few. rewrite count_repeat. exact Few. }
    destruct (exact_fields l 0 Fair0 Few) as [S T].
    destruct (exact_fields _ 0 FairRun FewRun) as [Sx Tx].
    apply only_x_by_moments. rewrite halves_are_enough, <- S, <- T, Run, Sx, Tx.
    rewrite <- halves_are_enough, sum_repeat, squares_repeat. split; reflexivity.
  - intros (Mapped & Few & Only). split; [split; assumption|].
    apply only_has_its_one_word, Only.
Qed.

(** claim: one read proves reuse: all mappings are x's, and nobody has another reference *)
Theorem is_all_mine_is_exact x l r : fair l r -> fair_id x ->
  (is_all_mine x (one_word l r) = true <-> l <> [] /\ few l /\ only x l /\ r = 0).
Proof.
  intros Fair Id. unfold is_all_mine. rewrite andb_true_iff, Z.eqb_eq.
  destruct (both_counts_are_exact l r Fair) as [-> _].
  rewrite (is_all_of_is_exact x l r Fair Id). tauto.
Qed.

(** claim: "of several" is said exactly when ids differ, or when there are more than 2^17 mappings *)
Theorem is_of_several_is_exact l r : fair l r ->
  (is_of_several (one_word l r) = false <-> few l /\ all_equal l).
Proof.
  intro Fair. unfold is_of_several. rewrite orb_false_iff, negb_false_iff, Z.ltb_ge, Z.eqb_eq.
  destruct (both_counts_are_exact l r Fair) as [_ ->]. fold (few l).
  assert (Products : few l ->
    (mul128 (count l) (2 * get_t (one_word l r) + get_s (one_word l r)) =
     mul128 (get_s (one_word l r)) (get_s (one_word l r)) <-> all_equal l)).
  { intro Few. destruct (four_fields_never_overflow l r Fair Few) as (_ & _ & Hs & Ht).
    destruct (exact_fields l r Fair Few) as [-> ->].
    pose proof (count_nonneg l).
    rewrite <- halves_are_enough. unfold mul128, wrap, modulus.
    rewrite !Z.mod_small; [apply all_equal_by_moments | | rewrite halves_are_enough];
      unfold few, most_exact, s_width, t_width in *; nia. }
  tauto.
Qed.
