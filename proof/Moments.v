(* SPDX-License-Identifier: BSD-2-Clause *)
(** * Moments: what three sums say about a list of ids

    A folio is mapped some number of times; write down the id of the address
    space at each mapping.  Of that list we keep only three sums: how many, the
    sum, the sum of the squares.  This file shows that they tell exactly whether
    all ids in the list are the same, and which one it is.  Nothing here knows of
    words, bits or threads: Word.v packs the sums, Updates.v lets threads at them.

    Source: the equality case of Cauchy's inequality, in the form of Lagrange's
    identity, which gives the difference of the two sides as a sum of squares. *)

Require Import ZArith List Lia Permutation.
Import ListNotations.
Open Scope Z_scope.

(** ** The three moments of a list *)

Definition count (l : list Z) : Z := Z.of_nat (length l).

Fixpoint sum (l : list Z) : Z :=
  match l with
  | [] => 0
  | a :: r => a + sum r
  end.

Fixpoint squares (l : list Z) : Z :=
  match l with
  | [] => 0
  | a :: r => a * a + squares r
  end.

(** Every entry is [x]; some two entries differ; all entries agree. *)
Definition only (x : Z) (l : list Z) : Prop := Forall (eq x) l.
Definition all_equal (l : list Z) : Prop := forall a b, In a l -> In b l -> a = b.

Lemma count_cons a l : count (a :: l) = 1 + count l.
Proof. unfold count. cbn [length]. lia. Qed.

Lemma count_nonneg l : 0 <= count l.
Proof. unfold count. lia. Qed.

Lemma count_zero l : count l = 0 <-> l = [].
Proof.
  destruct l as [|a l].
  - split; reflexivity.
  - rewrite count_cons. pose proof (count_nonneg l). split; [lia | discriminate].
Qed.

(** ** Lists side by side, runs of one id, and order *)

Lemma count_app l r : count (l ++ r) = count l + count r.
Proof. unfold count. rewrite app_length. lia. Qed.

Lemma sum_app l r : sum (l ++ r) = sum l + sum r.
Proof. induction l as [|a l IH]; cbn [sum app]; lia. Qed.

Lemma squares_app l r : squares (l ++ r) = squares l + squares r.
Proof. induction l as [|a l IH]; cbn [squares app]; lia. Qed.

Lemma count_repeat x k : count (repeat x k) = Z.of_nat k.
Proof. unfold count. rewrite repeat_length. reflexivity. Qed.

Lemma sum_repeat x k : sum (repeat x k) = Z.of_nat k * x.
Proof. induction k as [|k IH]; cbn [repeat sum]; lia. Qed.

Lemma squares_repeat x k : squares (repeat x k) = Z.of_nat k * x * x.
Proof.
  induction k as [|k IH]; cbn [repeat squares].
  - reflexivity.
  - rewrite IH, Nat2Z.inj_succ. ring.
Qed.

(** claim: mapping k pages for x adds k * (1, x, x*x), whatever was mapped before *)
Theorem batch_adds x k l :
  count (repeat x k ++ l) = count l + Z.of_nat k /\
  sum (repeat x k ++ l) = sum l + Z.of_nat k * x /\
  squares (repeat x k ++ l) = squares l + Z.of_nat k * x * x.
Proof.
  rewrite count_app, sum_app, squares_app.
  rewrite count_repeat, sum_repeat, squares_repeat. lia.
Qed.

(** claim: the order in which the mappings came does not matter *)
Theorem order_is_forgotten l r :
  Permutation l r -> count l = count r /\ sum l = sum r /\ squares l = squares r.
Proof.
  induction 1; rewrite ?count_cons; cbn [sum squares]; lia.
Qed.

(** ** With [x] known: the squared distances from [x] *)

Fixpoint distance (x : Z) (l : list Z) : Z :=
  match l with
  | [] => 0
  | a :: r => (a - x) * (a - x) + distance x r
  end.

Lemma distance_nonneg x l : 0 <= distance x l.
Proof.
  induction l as [|a l IH]; cbn [distance]; [lia|].
  pose proof (Z.square_nonneg (a - x)). lia.
Qed.

Lemma distance_zero x l : distance x l = 0 <-> only x l.
Proof.
  unfold only. induction l as [|a l IH]; cbn [distance].
  - split; [constructor | reflexivity].
  - pose proof (Z.square_nonneg (a - x)). pose proof (distance_nonneg x l).
    rewrite Forall_cons_iff, <- IH. split.
    + intro Both. assert (Square : (a - x) * (a - x) = 0) by lia.
      apply Z.mul_eq_0 in Square. lia.
    + intros [-> ->]. ring.
Qed.

Lemma distance_by_moments x l :
  distance x l = squares l - 2 * x * sum l + count l * x * x.
Proof.
  induction l as [|a l IH]; cbn [distance squares sum].
  - change (count []) with 0. ring.
  - rewrite count_cons, IH. ring.
Qed.

(** claim: x known: the sum is n*x and the squares are n*x*x if and only if every id is x *)
Theorem only_x_by_moments x l :
  (sum l = count l * x /\ squares l = count l * x * x) <-> only x l.
Proof.
  rewrite <- distance_zero. split.
  - intros [Sum Squares]. rewrite distance_by_moments, Sum, Squares. ring.
  - rewrite distance_zero. unfold only. induction 1 as [|a l E _ IH]; [split; reflexivity|].
    subst a. rewrite count_cons. cbn [sum squares]. lia.
Qed.

(** ** Without [x]: the squared distances of all pairs *)

Fixpoint spread (l : list Z) : Z :=
  match l with
  | [] => 0
  | a :: r => distance a r + spread r
  end.

Lemma spread_nonneg l : 0 <= spread l.
Proof.
  induction l as [|a l IH]; cbn [spread]; [lia|].
  pose proof (distance_nonneg a l). lia.
Qed.

Lemma all_equal_cons a l : all_equal (a :: l) <-> only a l /\ all_equal l.
Proof.
  unfold all_equal, only. rewrite Forall_forall. split.
  - intro All. split; intros; apply All; cbn [In]; auto.
  - intros [Only All] b c [<- | Hb] [<- | Hc]; auto. symmetry. auto.
Qed.

Lemma spread_zero l : spread l = 0 <-> all_equal l.
Proof.
  induction l as [|a l IH]; cbn [spread].
  - split; [intros _ a b [] | reflexivity].
  - pose proof (distance_nonneg a l). pose proof (spread_nonneg l).
    rewrite all_equal_cons, <- distance_zero, <- IH. lia.
Qed.

(** claim: n*Q - S*S is the sum of (a - b)^2 over all pairs of mappings *)
Theorem lagrange l : count l * squares l - sum l * sum l = spread l.
Proof.
  induction l as [|a l IH]; cbn [squares sum spread].
  - reflexivity.
  - rewrite count_cons, distance_by_moments, <- IH. ring.
Qed.

(** claim: x unknown: n*Q = S*S, zero variance, if and only if all ids are equal *)
Theorem all_equal_by_moments l : count l * squares l = sum l * sum l <-> all_equal l.
Proof. rewrite <- spread_zero, <- lagrange. lia. Qed.

Lemma only_is_all_equal x l : only x l -> all_equal l.
Proof.
  unfold only, all_equal. rewrite Forall_forall. intros Only a b Ha Hb.
  rewrite <- (Only a Ha). auto.
Qed.

(** claim: and if all ids are equal, the one they equal is S / n *)
Theorem owner_is_the_mean l : l <> [] -> all_equal l -> only (sum l / count l) l.
Proof.
  destruct l as [|a l]; [congruence|]. intros _ All.
  assert (Only : only a (a :: l)).
  { constructor; [reflexivity|]. apply all_equal_cons in All. tauto. }
  pose proof (count_nonneg l). apply only_x_by_moments in Only as [Sum _].
  assert (Mean : sum (a :: l) / count (a :: l) = a).
  { rewrite Sum, Z.mul_comm. apply Z.div_mul. rewrite count_cons. lia. }
  rewrite Mean. constructor; [reflexivity|]. apply all_equal_cons in All. tauto.
Qed.

(** ** How large the moments can become *)

Lemma sum_bounds m l : Forall (fun a => 0 <= a <= m) l -> 0 <= sum l <= count l * m.
Proof.
  induction 1; cbn [sum]; rewrite ?count_cons; [unfold count; cbn; lia | lia].
Qed.

Lemma squares_bounds m l :
  Forall (fun a => 0 <= a <= m) l -> 0 <= squares l <= count l * (m * m).
Proof.
  induction 1 as [|a l Bound _ IH]; cbn [squares]; rewrite ?count_cons;
    [unfold count; cbn; lia |].
  assert (0 <= a * a <= m * m) by nia. lia.
Qed.
