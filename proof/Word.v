(* SPDX-License-Identifier: BSD-2-Clause *)
(** * The word: three moments in 128 bits, and what may be read from it

        bits   0..21   n   how many mappings       22 bits
        bits  22..62   S   sum of the ids          41 bits
        bits  63..127  Q   sum of their squares    65 bits

    Ids are below 2^22 and there are never more than 2^22 - 1 mappings.  Up to
    2^19 mappings all three fields are exact.  Beyond, S and Q may run over into
    what lies above them, but n, which has nothing below it, is still exact: a
    reader looks at n first and says "shared" when it is above 2^19.

    All arithmetic here is the machine's: every operation keeps 128 (or 64) bits
    and forgets the rest. *)

Require Import ZArith Znumtheory List Lia Permutation Bool.
From Quire Require Import Moments.
Import ListNotations.
Open Scope Z_scope.

Definition n_bits := 22.
Definition s_bits := 41.
Definition q_bits := 65.
Definition s_at := n_bits.
Definition q_at := n_bits + s_bits.

Definition id_end := 2 ^ 22.              (* ids are below it *)
Definition max_mappings := 2 ^ 22 - 1.    (* a mapping beyond it is refused *)
Definition exact_mappings := 2 ^ 19.      (* up to it the fields are exact *)

Definition valid_id (x : Z) : Prop := 0 <= x < id_end.
Definition valid (l : list Z) : Prop := Forall valid_id l /\ count l <= max_mappings.
Definition small (l : list Z) : Prop := count l <= exact_mappings.

(** ** The machine's arithmetic *)

Definition modulus := 2 ^ 128.
Definition wrap (z : Z) : Z := z mod modulus.
Definition add128 a b := wrap (a + b).
Definition sub128 a b := wrap (a - b).
Definition mul128 a b := wrap (a * b).
Definition shl128 a by_bits := wrap (Z.shiftl a by_bits).
Definition mul64 a b := (a * b) mod 2 ^ 64.
Definition low_half (w : Z) : Z := Z.land w (Z.ones 64).

(** What the word of a list should be. *)
Definition pack (n s q : Z) : Z := n + s * 2 ^ s_at + q * 2 ^ q_at.
Definition word_of (l : list Z) : Z := wrap (pack (count l) (sum l) (squares l)).

(** ** The functions of core/sharing/moments.h, operation for operation *)

(** moments_of: the word of k mappings of x. *)
Definition moments_of (k x : Z) : Z :=
  let squared := shl128 (mul64 x x) q_at in
  let one := Z.lor squared (Z.lor (shl128 x s_at) 1) in
  mul128 one k.

(** moments_n, and the other two fields. *)
Definition field_n (w : Z) : Z := Z.land w (Z.ones n_bits).
Definition field_s (w : Z) : Z := Z.land (Z.shiftr w s_at) (Z.ones s_bits).
Definition field_q (w : Z) : Z := Z.shiftr w q_at.

(** moments_all_of: "are all mappings of x, and are there some?" *)
Definition all_of (x w : Z) : bool :=
  let n := field_n w in
  negb (n =? 0) && (n <=? exact_mappings) && (w =? moments_of n x).

(** moments_of_several: "are they, whoever they are, not one?" *)
Definition of_several (w : Z) : bool :=
  (exact_mappings <? field_n w)
  || negb (mul128 (field_n w) (field_q w) =? mul128 (field_s w) (field_s w)).

(** moments_owner: the one they are of. *)
Definition owner (w : Z) : Z := field_s w / field_n w.

(** What a mapper asks before it changes anything: "is there room for k more?" *)
Definition room (k : nat) (w : Z) : bool := field_n w + Z.of_nat k <=? max_mappings.

(** ** The layout *)

(** claim: the three fields lie side by side and fill 128 bits *)
Theorem fields_fill_the_word :
  s_at = 0 + n_bits /\ q_at = s_at + s_bits /\ q_at + q_bits = 128.
Proof. repeat split. Qed.

Lemma valid_bounds l : Forall valid_id l ->
  0 <= sum l <= count l * (2 ^ 22 - 1) /\
  0 <= squares l <= count l * ((2 ^ 22 - 1) * (2 ^ 22 - 1)).
Proof.
  intro Ids.
  assert (Bound : Forall (fun a => 0 <= a <= 2 ^ 22 - 1) l).
  { revert Ids. apply Forall_impl. unfold valid_id, id_end. lia. }
  split; [apply sum_bounds | apply squares_bounds]; exact Bound.
Qed.

(** claim: up to 2^19 mappings no field overflows; Q even needs only 63 of its 65 bits *)
Theorem fields_never_overflow l : Forall valid_id l -> small l ->
  0 <= count l < 2 ^ n_bits /\ 0 <= sum l < 2 ^ s_bits /\ 0 <= squares l < 2 ^ 63.
Proof.
  intros Ids Small. pose proof (valid_bounds l Ids). pose proof (count_nonneg l).
  unfold small, exact_mappings, n_bits, s_bits in *. lia.
Qed.

(** claim: 2^19 is the most: one mapping more, all of the largest id, and S overflows *)
Theorem limit_is_tight : exists l,
  Forall valid_id l /\ count l = exact_mappings + 1 /\ 2 ^ s_bits <= sum l.
Proof.
  exists (repeat (id_end - 1) (Z.to_nat (exact_mappings + 1))).
  rewrite count_repeat, sum_repeat, Z2Nat.id by discriminate.
  split; [|split; [reflexivity | discriminate]].
  apply Forall_forall. intros a In. apply repeat_spec in In. subst a.
  unfold valid_id, id_end. lia.
Qed.

(** ** One addition *)

Lemma pack_linear n s q n' s' q' :
  pack (n + n') (s + s') (q + q') = pack n s q + pack n' s' q'.
Proof. unfold pack. ring. Qed.

(** Wrapping on the way changes nothing in the end. *)
Lemma wrap_add a b : wrap (wrap a + wrap b) = wrap (a + b).
Proof. symmetry. apply Zplus_mod. Qed.
Lemma wrap_sub a b : wrap (wrap a - wrap b) = wrap (a - b).
Proof. symmetry. apply Zminus_mod. Qed.

(** Fields that do not overlap may be put together with an or. *)
Lemma lor_is_add a b bits : 0 <= bits -> 0 <= b < 2 ^ bits ->
  Z.lor (Z.shiftl a bits) b = a * 2 ^ bits + b.
Proof.
  intros Hbits Hb. rewrite <- Z.shiftl_mul_pow2 by assumption.
  assert (Disjoint : Z.land (Z.shiftl a bits) b = 0).
  { apply Z.bits_inj'. intros i Hi. rewrite Z.land_spec, Z.bits_0.
    destruct (Z.ltb_spec i bits).
    - rewrite Z.shiftl_spec_low by assumption. reflexivity.
    - rewrite <- (Z.mod_small b (2 ^ bits)), Z.mod_pow2_bits_high by lia.
      apply andb_false_r. }
  rewrite Z.add_nocarry_lxor, Z.lxor_lor by assumption. reflexivity.
Qed.

(** So moments_of, however the machine computes it, is k * (1, x, x*x), packed. *)
Lemma moments_of_packs k x : valid_id x ->
  moments_of k x = wrap (pack k (k * x) (k * x * x)).
Proof.
  unfold valid_id, id_end. intro Id.
  assert (Square : 0 <= x * x < 2 ^ 44) by nia.
  assert (Once : Z.lor (shl128 (mul64 x x) q_at) (Z.lor (shl128 x s_at) 1) = pack 1 x (x * x)).
  { unfold shl128, mul64, wrap, modulus, pack, s_at, q_at, n_bits, s_bits.
    rewrite (Z.mod_small (x * x)) by lia.
    rewrite !Z.mod_small by (rewrite Z.shiftl_mul_pow2; lia).
    rewrite !lor_is_add by (rewrite ?lor_is_add; lia). lia. }
  unfold moments_of. rewrite Once. unfold mul128, pack. f_equal. ring.
Qed.

(** claim: the word of k mappings of x is moments_of(k, x) *)
Theorem word_of_one_id k x : valid_id x -> word_of (repeat x k) = moments_of (Z.of_nat k) x.
Proof.
  intro Id. rewrite moments_of_packs by exact Id. unfold word_of.
  rewrite count_repeat, sum_repeat, squares_repeat. reflexivity.
Qed.

(** claim: one 128-bit addition adds k mappings of x to all three moments *)
Theorem one_addition k x l : valid_id x ->
  word_of (repeat x k ++ l) = add128 (word_of l) (moments_of (Z.of_nat k) x).
Proof.
  intro Id. rewrite moments_of_packs by exact Id.
  unfold word_of, add128. rewrite wrap_add, <- pack_linear.
  destruct (batch_adds x k l) as (-> & -> & ->). reflexivity.
Qed.

(** claim: one 128-bit subtraction takes them away again *)
Theorem one_subtraction k x l : valid_id x ->
  word_of l = sub128 (word_of (repeat x k ++ l)) (moments_of (Z.of_nat k) x).
Proof.
  intro Id. rewrite moments_of_packs by exact Id.
  unfold word_of, sub128. rewrite wrap_sub.
  destruct (batch_adds x k l) as (-> & -> & ->). rewrite pack_linear. f_equal. ring.
Qed.

(** claim: the word does not depend on the order of the mappings *)
Theorem word_forgets_order l r : Permutation l r -> word_of l = word_of r.
Proof. intro P. unfold word_of. destruct (order_is_forgotten l r P) as (-> & -> & ->). reflexivity. Qed.

(** ** Reading the fields *)

Lemma pack_below_n n s q : pack n s q = n + (s + q * 2 ^ s_bits) * 2 ^ n_bits.
Proof. unfold pack, s_at, q_at. rewrite Z.pow_add_r by discriminate. ring. Qed.

(** claim: n is exact up to 2^22 - 1 mappings, even where S and Q have overflowed *)
Theorem count_is_always_exact l : valid l -> field_n (word_of l) = count l.
Proof.
  intros [_ Max]. pose proof (count_nonneg l).
  unfold field_n, word_of, wrap. rewrite Z.land_ones by discriminate.
  assert (Divides : (2 ^ n_bits | modulus)) by (exists (2 ^ 106); reflexivity).
  rewrite <- Zmod_div_mod by (exact Divides || reflexivity).
  rewrite pack_below_n, Z_mod_plus_full. apply Z.mod_small.
  unfold max_mappings, n_bits in *. lia.
Qed.

Lemma fields_of_pack n s q :
  0 <= n < 2 ^ n_bits -> 0 <= s < 2 ^ s_bits -> 0 <= q < 2 ^ q_bits ->
  field_s (wrap (pack n s q)) = s /\ field_q (wrap (pack n s q)) = q.
Proof.
  intros Hn Hs Hq.
  assert (Fits : wrap (pack n s q) = pack n s q).
  { apply Z.mod_small. unfold pack, modulus, s_at, q_at, n_bits, s_bits, q_bits in *. lia. }
  assert (Above : pack n s q / 2 ^ n_bits = s + q * 2 ^ s_bits).
  { rewrite pack_below_n, Z.div_add, Z.div_small by (assumption || discriminate).
    reflexivity. }
  rewrite Fits. unfold field_s, field_q, s_at, q_at.
  rewrite Z.land_ones, !Z.shiftr_div_pow2 by discriminate.
  rewrite Z.pow_add_r, <- Z.div_div by (reflexivity || discriminate). rewrite Above. split.
  - rewrite Z_mod_plus_full. apply Z.mod_small. assumption.
  - rewrite Z.div_add, Z.div_small by (assumption || discriminate). reflexivity.
Qed.

(** claim: up to 2^19 mappings the fields are the moments *)
Theorem fields_are_exact l : Forall valid_id l -> small l ->
  field_n (word_of l) = count l /\
  field_s (word_of l) = sum l /\
  field_q (word_of l) = squares l.
Proof.
  intros Ids Small. pose proof (fields_never_overflow l Ids Small) as (Hn & Hs & Hq).
  split.
  - apply count_is_always_exact. split; [exact Ids|].
    unfold small, exact_mappings, max_mappings in *. lia.
  - apply fields_of_pack; try assumption. unfold q_bits. lia.
Qed.

(** claim: the word has no mappings in it if and only if n is zero *)
Theorem unmapped_by_count l : valid l -> (field_n (word_of l) = 0 <-> l = []).
Proof. intro Valid. rewrite (count_is_always_exact l Valid). apply count_zero. Qed.

(** claim: the room check refuses exactly what would pass 2^22 - 1 mappings *)
Theorem room_is_exact k l : valid l ->
  (room k (word_of l) = true <-> count l + Z.of_nat k <= max_mappings).
Proof.
  intro Valid. unfold room. rewrite (count_is_always_exact l Valid). apply Z.leb_le.
Qed.

(** claim: 8 bytes, the low half, are enough to read the count *)
Theorem count_is_in_the_low_half w : field_n (low_half w) = field_n w.
Proof.
  unfold field_n, low_half. rewrite <- Z.land_assoc. f_equal.
Qed.

(** ** The answers *)

Lemma only_is_repeat x l : only x l -> l = repeat x (length l).
Proof.
  unfold only. induction 1 as [|a l E _ IH]; cbn [length repeat]; congruence.
Qed.

Lemma only_has_its_word x l : valid_id x -> only x l ->
  word_of l = moments_of (count l) x.
Proof.
  intros Id Only. rewrite (only_is_repeat x l Only) at 1. apply word_of_one_id, Id.
Qed.

(** claim: "all of x" is said exactly when x alone maps the folio, up to 2^19 times *)
Theorem all_of_is_exact x l : valid l -> valid_id x ->
  (all_of x (word_of l) = true <-> l <> [] /\ small l /\ only x l).
Proof.
  intros Valid Id. unfold all_of. rewrite (count_is_always_exact l Valid).
  rewrite !andb_true_iff, negb_true_iff, Z.eqb_neq, Z.leb_le, Z.eqb_eq, count_zero.
  fold (small l). split.
  - intros [[Mapped Small] Word]. split; [exact Mapped|]. split; [exact Small|].
    (* The word is also that of as many mappings of x, and both are exact. *)
    assert (Run : word_of l = word_of (repeat x (length l))).
    { rewrite word_of_one_id by exact Id. exact Word. }
    assert (Ids : Forall valid_id (repeat x (length l))).
    { apply Forall_forall. intros a In. apply repeat_spec in In. congruence. }
    assert (SmallRun : small (repeat x (length l))).
    { unfold small. rewrite count_repeat. exact Small. }
    destruct (fields_are_exact _ (proj1 Valid) Small) as (_ & S & Q).
    destruct (fields_are_exact _ Ids SmallRun) as (_ & Sx & Qx).
    apply only_x_by_moments.
    rewrite <- S, <- Q, Run, Sx, Qx, sum_repeat, squares_repeat. split; reflexivity.
  - intros (Mapped & Small & Only). auto using only_has_its_word.
Qed.

(** claim: a low half that differs from that of n mappings of x proves others, whatever n is *)
Theorem low_half_refutes x l : valid l -> valid_id x ->
  low_half (word_of l) <> low_half (moments_of (field_n (low_half (word_of l))) x) ->
  ~ only x l.
Proof.
  intros Valid Id Differs Only. apply Differs.
  rewrite count_is_in_the_low_half, (count_is_always_exact l Valid).
  f_equal. apply only_has_its_word; assumption.
Qed.

(** No product that a reader forms wraps, so that it compares what it means to. *)
Lemma products_fit n s q :
  0 <= n <= exact_mappings -> 0 <= s < 2 ^ s_bits -> 0 <= q < 2 ^ q_bits ->
  mul128 n q = n * q /\ mul128 s s = s * s.
Proof.
  unfold exact_mappings, s_bits, q_bits, mul128, wrap, modulus. intros Hn Hs Hq.
  split; apply Z.mod_small; nia.
Qed.

(** claim: "of several" is said exactly when ids differ, or when there are more than 2^19 mappings *)
Theorem of_several_is_exact l : valid l ->
  (of_several (word_of l) = false <-> small l /\ all_equal l).
Proof.
  intro Valid. unfold of_several. rewrite orb_false_iff, negb_false_iff, Z.ltb_ge, Z.eqb_eq.
  rewrite (count_is_always_exact l Valid). fold (small l).
  assert (Products : small l ->
    (mul128 (count l) (field_q (word_of l)) =
     mul128 (field_s (word_of l)) (field_s (word_of l)) <-> all_equal l)).
  { intro Small. destruct Valid as [Ids _]. pose proof (count_nonneg l).
    destruct (fields_never_overflow l Ids Small) as (_ & Hs & Hq).
    destruct (fields_are_exact l Ids Small) as (_ & -> & ->).
    destruct (products_fit (count l) (sum l) (squares l)) as [Nq Ss];
      [unfold small in Small; lia | exact Hs | unfold q_bits; lia |].
    rewrite Nq, Ss. apply all_equal_by_moments. }
  tauto.
Qed.

(** claim: if there are some, and not of several, S / n is the id they are all of *)
Theorem owner_is_exact l : valid l -> l <> [] -> of_several (word_of l) = false ->
  only (owner (word_of l)) l.
Proof.
  intros Valid Mapped One. apply (of_several_is_exact l Valid) in One as [Small All].
  destruct Valid as [Ids _]. unfold owner.
  destruct (fields_are_exact l Ids Small) as (-> & -> & _).
  apply owner_is_the_mean; assumption.
Qed.

(** claim: above 2^19 mappings every answer is "shared", the safe one *)
Theorem large_is_called_shared x l : valid l -> ~ small l ->
  all_of x (word_of l) = false /\ of_several (word_of l) = true.
Proof.
  unfold small, all_of, of_several. intros Valid Large.
  rewrite (count_is_always_exact l Valid).
  destruct (Z.leb_spec (count l) exact_mappings); [tauto|].
  destruct (Z.ltb_spec exact_mappings (count l)); [|lia].
  split; [rewrite andb_false_r|]; reflexivity.
Qed.

(** ** Why the reader looks at n first

    Some two million mappings, nearly all of the largest id, whose S and Q have
    overflowed so that the word is that of as many mappings of the id 4. *)

Definition unlucky_ids : list Z :=
  [588447; 1013043; 2110608; 2550410; 2635272; 2694999; 3812064; 3848374; 3978693; 4031086].
Definition unlucky : list Z := repeat (id_end - 1) (Z.to_nat 2097148) ++ unlucky_ids.

(** claim: without that look it would be wrong: 11 ids, and the word of the id 4 alone *)
Theorem the_limit_is_needed :
  valid unlucky /\ ~ only 4 unlucky /\ ~ all_equal unlucky /\
  let w := word_of unlucky in
  w = moments_of (field_n w) 4 /\
  mul128 (field_n w) (field_q w) = mul128 (field_s w) (field_s w).
Proof.
  assert (Ids : In 588447 unlucky /\ In 1013043 unlucky).
  { unfold unlucky. split; apply in_or_app; right; cbn [unlucky_ids In]; auto. }
  assert (Count : count unlucky = 2097158).
  { unfold unlucky. rewrite count_app, count_repeat, Z2Nat.id by discriminate. reflexivity. }
  assert (Word : word_of unlucky = wrap (pack 2097158 8796101410840 36893488147452657756)).
  { unfold word_of. rewrite Count. unfold unlucky.
    rewrite sum_app, squares_app, sum_repeat, squares_repeat, Z2Nat.id by discriminate.
    f_equal. }
  split; [split|split; [|split]].
  - unfold unlucky. apply Forall_app. split.
    + apply Forall_forall. intros a In. apply repeat_spec in In. subst a.
      unfold valid_id, id_end. lia.
    + unfold unlucky_ids, valid_id, id_end. repeat constructor; lia.
  - rewrite Count. discriminate.
  - unfold only. rewrite Forall_forall. intro Only. discriminate (Only _ (proj1 Ids)).
  - intro All. discriminate (All _ _ (proj1 Ids) (proj2 Ids)).
  - rewrite Word. vm_compute. repeat split.
Qed.
