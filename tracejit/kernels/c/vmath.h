// Vector math: branch-free scalar functions that a compiler turns into SIMD code inside `#pragma omp simd`.
//
// Every function is blends, bit operations and polynomials, so that gcc and clang vectorise the surrounding
// loop for SSE4, AVX2, AVX-512 or NEON. NaN, infinities, signed zeros, subnormals and domain edges give what
// the C library gives. Multiply-adds are spelled out: compile with or without -ffp-contract, never with
// -ffast-math.
//
// A section starts with a comment mark and an at-sign, its name (after `helper` if no kernel should call it)
// and the names it needs; vmath.py hands out the sections that a kernel uses. A function's comment begins
// with the largest error measured on a million points, in units in the last place, with fused multiply-add.
//
// Where the numbers come from: polynomials are weighted minimax fits (Remez exchange in 60 digits, then
// rounded: tools/minimax.py); split constants are rounded leading parts of the exact value. Reductions: Cody
// and Waite, "Software Manual for the Elementary Functions" (1980); Muller, "Elementary Functions" (2016).
// Adding 1.5 * 2^52 (or 2^23) rounds to an integer and leaves it in the low bits of the sum, with the
// shifter's bias.

//@ helper tj_prelude
// A kernel's prelude (tracejit.h) brings the types, fabs, copysign and tj_fma; without it the C headers do.
#ifndef TRACEJIT_H
#include <math.h>
#include <stdint.h>
#define TJ_INF ((double)INFINITY)
#define TJ_NAN ((double)NAN)
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define tj_fma(a, b, c) __builtin_fma((a), (b), (c))
#define tj_fmaf(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define tj_fma(a, b, c) ((a) * (b) + (c))
#define tj_fmaf(a, b, c) ((a) * (b) + (c))
#endif
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#define TJ_MATH static __forceinline
#else
#define TJ_MATH static inline __attribute__((always_inline, unused))
#endif
// With a fused multiply-add, a product needs no spare bits to be subtracted exactly.
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define TJ_HAS_FMA 1
#else
#define TJ_HAS_FMA 0
#endif

// What raises flags where NumPy would warn, which blends alone do not: a signaling NaN, in any arithmetic, and a number
// that added to itself is -inf. Any flag will do, since it has what happened looked at.
#define TJ_SIGNAL_F64 0x7ff4000000000000u
#define TJ_SIGNAL_F32 0x7fa00000u
#define TJ_POLE_F64 -0x1.fffffffffffffp1023
#define TJ_POLE_F32 -0x1.fffffep127f

TJ_MATH uint64_t tj_bits_f64(double x) { union { double f; uint64_t u; } v; v.f = x; return v.u; }
TJ_MATH double tj_float_f64(uint64_t u) { union { double f; uint64_t u; } v; v.u = u; return v.f; }
TJ_MATH uint32_t tj_bits_f32(float x) { union { float f; uint32_t u; } v; v.f = x; return v.u; }
TJ_MATH float tj_float_f32(uint32_t u) { union { float f; uint32_t u; } v; v.u = u; return v.f; }

//@ helper tj_exp_clamped_f64 : tj_prelude
// exp on [-746, 710]: 2^n e^r with |r| <= log(2)/2; the scale is applied in two halves, so that overflow and
// gradual underflow happen once, in the last multiplication. The shifter carries twice the exponent's bias.
TJ_MATH double tj_exp_clamped_f64(double x) {
    double t = tj_fma(x, 1.4426950408889634, 0x1.8p52 + 2046);
    uint64_t u = tj_bits_f64(t), h = u >> 1;
    double n = t - (0x1.8p52 + 2046);
    double r = tj_fma(n, 1.7239444525614835e-13, tj_fma(n, -0.6931471805601177, x));
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.511760795029965e-08, 2.763127827434669e-07), 2.755721715906956e-06),
        2.480148994898855e-05), 0.00019841269916350416), 0.0013888888947008542), 0.008333333333307723),
        0.04166666666651545), 0.166666666666667), 0.5000000000000012);
    double y = 1.0 + tj_fma(r * r, q, r);
    return y * tj_float_f64(h << 52) * tj_float_f64((u - h) << 52);
}

//@ tj_exp_f64 : tj_exp_clamped_f64
// 1.02 ULP.
TJ_MATH double tj_exp_f64(double x) {
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    return tj_exp_clamped_f64(x);
}

//@ helper tj_exp_neg_f64 : tj_prelude
// exp(-|x|): with no overflow to fear, 2^(n + 64) times 2^-64 underflows gradually, too.
TJ_MATH double tj_exp_neg_f64(double x) {
    x = -fabs(x);
    x = x < -746.0 ? -746.0 : x;
    double t = tj_fma(x, 1.4426950408889634, 0x1.8p52 + 1087);
    double n = t - (0x1.8p52 + 1087);
    double r = tj_fma(n, 1.7239444525614835e-13, tj_fma(n, -0.6931471805601177, x));
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.511760795029965e-08, 2.763127827434669e-07), 2.755721715906956e-06),
        2.480148994898855e-05), 0.00019841269916350416), 0.0013888888947008542), 0.008333333333307723),
        0.04166666666651545), 0.166666666666667), 0.5000000000000012);
    double y = 1.0 + tj_fma(r * r, q, r);
    return y * tj_float_f64(tj_bits_f64(t) << 52) * 0x1p-64;
}

//@ tj_exp2_f64 : tj_prelude
// 1.0 ULP.
TJ_MATH double tj_exp2_f64(double x) {
    x = x > 1025.0 ? 1025.0 : x;
    x = x < -1076.0 ? -1076.0 : x;
    double t = x + (0x1.8p52 + 2046);
    uint64_t u = tj_bits_f64(t), h = u >> 1;
    double r = x - (t - (0x1.8p52 + 2046));
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, tj_fma(r, 4.4573966550871784e-10, 7.073868065753237e-09), 1.0178046392735361e-07),
        1.3215434773595613e-06), 1.5252733867722219e-05), 0.00015403530458160526),
        0.0013333558146378828), 0.009618129107593274), 0.05550410866482174), 0.24022650695910133),
        0.6931471805599453);
    double y = tj_fma(r, q, 1.0);
    return y * tj_float_f64(h << 52) * tj_float_f64((u - h) << 52);
}

//@ tj_expm1_f64 : tj_prelude
// 1.63 ULP. 2 (s p + (s - 1/2)) with s = 2^(n-1), p = expm1(r): exact in s, and it overflows where it should.
TJ_MATH double tj_expm1_f64(double x) {
    double c = x > 710.0 ? 710.0 : x;
    c = c < -50.0 ? -50.0 : c;
    double t = tj_fma(c, 1.4426950408889634, 0x1.8p52 + 1022);
    double n = t - (0x1.8p52 + 1022);
    double a = tj_fma(n, -0.6931471805601177, c);
    double r = tj_fma(n, 1.7239444525614835e-13, a);
    double low = tj_fma(n, 1.7239444525614835e-13, a - r);
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.5114480792135607e-08, 2.762632672778848e-07), 2.7557227934481598e-06),
        2.480150444539456e-05), 0.000198412699030481), 0.0013888888932379413), 0.008333333333314586),
        0.04166666666657362), 0.16666666666666685), 0.5000000000000006);
    double p = r + tj_fma(r * r, q, low);
    double s = tj_float_f64(tj_bits_f64(t) << 52);
    double y = 2.0 * tj_fma(s, p, s - 0.5);
    return fabs(x) < 1e-300 ? x : y;
}

//@ helper tj_log_split_f64 : tj_prelude
// x = 2^k m with m in [sqrt(1/2), sqrt(2)): k from t, the distance of the bits of x to those of sqrt(1/2).
TJ_MATH double tj_exponent_f64(uint64_t t) {
#if defined(__AVX512DQ__) || defined(__aarch64__)
    return (double)((int64_t)t >> 52);
#else
    // vector units that cannot convert 64-bit integers
    return tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u) - (0x1p52 + 1024.0);
#endif
}
// log(1 + f) = f + tj_log_tail_f64(f) on [sqrt(1/2) - 1, sqrt(2) - 1]: odd series in s = f / (2 + f).
TJ_MATH double tj_log_tail_f64(double f) {
    double s = f / (2.0 + f);
    double z = s * s;
    double p = tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 0.14798280671156513, 0.15313830029217038), 0.1818357243574531), 0.22222198427509218),
        0.28571428743699073), 0.39999999999409314), 0.6666666666666735);
    return s * tj_fma(z, p, -f);
}

//@ tj_log_f64 : tj_log_split_f64
// 1.23 ULP.
TJ_MATH double tj_log_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_exponent_f64(t) - (small ? 54.0 : 0.0);
    double l = tj_fma(k, 0.6931471805601177, tj_fma(k, -1.7239444525614835e-13, f) + tj_log_tail_f64(f));
    double s = x > 0.0 ? x : (x == 0.0 ? TJ_POLE_F64 : tj_float_f64(TJ_SIGNAL_F64));
    return (x > 0.0) & (x < TJ_INF) ? l : s + s;
}

//@ tj_log2_f64 : tj_log_split_f64
// 1.06 ULP. Powers of two are exact.
TJ_MATH double tj_log2_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_exponent_f64(t) - (small ? 54.0 : 0.0);
    k = x > 0.0 ? k : tj_float_f64(TJ_SIGNAL_F64);
    double l = k + tj_fma(f, 1.4426950408889634, tj_log_tail_f64(f) * 1.4426950408889634);
    l = x < TJ_INF ? l : x;
    return x == 0.0 ? -TJ_INF : l;
}

//@ tj_log10_f64 : tj_log_split_f64
// 1.15 ULP. k times the leading part of log10(2) is exact.
TJ_MATH double tj_log10_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_exponent_f64(t) - (small ? 54.0 : 0.0);
    double m = tj_fma(f, 0.4342944819032518,
        tj_fma(k, -8.532344317057107e-14, tj_log_tail_f64(f) * 0.4342944819032518));
    double l = tj_fma(k, 0.3010299956640665, m);
    double s = x > 0.0 ? x : (x == 0.0 ? TJ_POLE_F64 : tj_float_f64(TJ_SIGNAL_F64));
    return (x > 0.0) & (x < TJ_INF) ? l : s + s;
}

//@ tj_log1p_f64 : tj_log_split_f64
// 1.79 ULP. k is the exponent of 1 + x; f = 2^-k x + (2^-k - 1) is rounded once; c = 4 2^-k has no underflow.
TJ_MATH double tj_log1p_f64(double x) {
    uint64_t t = tj_bits_f64(1.0 + x) - 0x3fe6a09e00000000u;
    double c = tj_float_f64(0x4010000000000000u - (t & 0xfff0000000000000u));
    double f = tj_fma(0.25 * x, c, tj_fma(0.25, c, -1.0));
    double k = tj_exponent_f64(t);
    f = k == 0.0 ? x : f;
    double l = tj_fma(k, 0.6931471805601177, tj_fma(k, -1.7239444525614835e-13, f) + tj_log_tail_f64(f));
    double s = x > -1.0 ? x : (x == -1.0 ? TJ_POLE_F64 : tj_float_f64(TJ_SIGNAL_F64));
    return copysign((x > -1.0) & (x < TJ_INF) ? l : s + s, x);
}

//@ helper tj_log1p_unit_f64 : tj_log_split_f64
// log(1 + t) for t in [0, 1]: one comparison reduces it.
TJ_MATH double tj_log1p_unit_f64(double t) {
    int big = t > 0.41421356237309503;
    double f = big ? 0.5 * t - 0.5 : t;
    return (big ? 0.6931471805601177 : 0.0) + ((big ? f - 1.7239444525614835e-13 : f) + tj_log_tail_f64(f));
}

//@ tj_softplus_f64 : tj_exp_neg_f64 tj_log1p_unit_f64
// 2.03 ULP. log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
TJ_MATH double tj_softplus_f64(double x) {
    return (x > 0.0 ? x : 0.0) + tj_log1p_unit_f64(tj_exp_neg_f64(x));
}

//@ tj_logaddexp_f64 : tj_exp_neg_f64 tj_log1p_unit_f64
// 2.72 ULP. max + log(1 + e^-|a-b|); equal infinities would give NaN as a difference.
TJ_MATH double tj_logaddexp_f64(double a, double b) {
    double d = a == b ? 0.0 : a - b;
    return (a > b ? a : b) + tj_log1p_unit_f64(tj_exp_neg_f64(d));
}

//@ tj_log1mexp_f64 : tj_log_split_f64
// 2.22 ULP. log(1 - e^x), x <= 0: of -expm1(x) near zero, below -log 2 as log1p of -e^x.
TJ_MATH double tj_log1mexp_f64(double x) {
    double a = x < -746.0 ? -746.0 : x;
    double t = tj_fma(a, 1.4426950408889634, 0x1.8p52 + 1087);
    double n = t - (0x1.8p52 + 1087);
    double b = tj_fma(n, -0.6931471805601177, a);
    double r = tj_fma(n, 1.7239444525614835e-13, b);
    double low = tj_fma(n, 1.7239444525614835e-13, b - r);
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.5114480792135607e-08, 2.762632672778848e-07), 2.7557227934481598e-06),
        2.480150444539456e-05), 0.000198412699030481), 0.0013888888932379413), 0.008333333333314586),
        0.04166666666657362), 0.16666666666666685), 0.5000000000000006);
    double p = r + tj_fma(r * r, q, low);
    double s = tj_float_f64(tj_bits_f64(t) << 52);
    double e = tj_fma(s, p, s) * 0x1p-64;
    s = s * 0x1p-64;
    int near = x > -0.6931471805599453;
    // 2^64 keeps subnormal results of expm1 away; the smallest x gives itself
    double y = -0x1p64 * tj_fma(s, p, s - 1.0);
    double m = near ? (x > -1e-300 ? x * -0x1p64 : y) : 1.0 - e;
    uint64_t d = tj_bits_f64(m) - 0x3fe6a09e00000000u;
    double c = tj_float_f64(0x3ff0000000000000u - (d & 0xfff0000000000000u));
    double f = (near ? m : -e) * c + (near ? -1.0 : c - 1.0);
    double k = tj_exponent_f64(d) - (near ? 64.0 : 0.0);
    double l = tj_fma(k, 0.6931471805601177, tj_fma(k, -1.7239444525614835e-13, f) + tj_log_tail_f64(f));
    // log1p(-e) is -e and keeps its sign where e is so small that c - 1 is 0
    l = e < 1e-17 ? -e : l;
    return x < 0.0 ? l : (x == 0.0 ? -TJ_INF : TJ_NAN);
}

//@ tj_sigmoid_f64 : tj_exp_neg_f64
// 2.12 ULP. 1 / (1 + e^-x), from e^-|x| on both sides so that it underflows as e^x does.
TJ_MATH double tj_sigmoid_f64(double x) {
    double t = tj_exp_neg_f64(x);
    return (x < 0.0 ? t : 1.0) / (1.0 + t);
}

//@ tj_tanh_f64 : tj_prelude
// 2.5 ULP. With t = expm1(-2|x|), tanh|x| = -t / (2 + t).
TJ_MATH double tj_tanh_f64(double x) {
    double c = -2.0 * fabs(x);
    c = c < -50.0 ? -50.0 : c;
    double t = tj_fma(c, 1.4426950408889634, 0x1.8p52 + 1023);
    double n = t - (0x1.8p52 + 1023);
    double a = tj_fma(n, -0.6931471805601177, c);
    double r = tj_fma(n, 1.7239444525614835e-13, a);
    double low = tj_fma(n, 1.7239444525614835e-13, a - r);
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.5114480792135607e-08, 2.762632672778848e-07), 2.7557227934481598e-06),
        2.480150444539456e-05), 0.000198412699030481), 0.0013888888932379413), 0.008333333333314586),
        0.04166666666657362), 0.16666666666666685), 0.5000000000000006);
    double p = r + tj_fma(r * r, q, low);
    double s = tj_float_f64(tj_bits_f64(t) << 52);
    double y = tj_fma(s, p, s - 1.0);
    return copysign(y / (2.0 + y), x);
}

//@ tj_sinh_f64 : tj_prelude
// 1.44 ULP. e^(+-r) = E(r^2) +- O(r): with a = 2^(n-2) and b = 2^(-n-2), sinh = 2 ((a - b) E + (a + b) O).
TJ_MATH double tj_sinh_f64(double x) {
    double c = fabs(x);
    c = c > 710.6 ? 710.6 : c;
    double t = tj_fma(c, 1.4426950408889634, 0x1.8p52 + 1021);
    double n = t - (0x1.8p52 + 1021);
    double m = tj_fma(n, -0.6931471805601177, c);
    double r = tj_fma(n, 1.7239444525614835e-13, m);
    double low = tj_fma(n, 1.7239444525614835e-13, m - r);
    double z = r * r;
    double o = r + tj_fma(r * z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 2.5109327103106407e-08, 2.7557243438535124e-06), 0.00019841269886824832),
        0.008333333333321384), 0.16666666666666677), low);
    double e = z * tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 2.0921770142773764e-09, 2.755725181943537e-07), 2.4801587349202134e-05),
        0.0013888888888873283), 0.041666666666666685), 0.5);
    double a = tj_float_f64(tj_bits_f64(t) << 52);
    double b = 0x1p-4 * tj_float_f64(0x7fe0000000000000u - tj_bits_f64(a));
    double d = a - b;
    double y = 2.0 * (d + tj_fma(a + b, o, d * e));
    return fabs(x) < 1e-300 ? x : copysign(y, x);
}

//@ tj_cosh_f64 : tj_prelude
// 1.39 ULP. As sinh: cosh = 2 ((a + b) E + (a - b) O).
TJ_MATH double tj_cosh_f64(double x) {
    double c = fabs(x);
    c = c > 710.6 ? 710.6 : c;
    double t = tj_fma(c, 1.4426950408889634, 0x1.8p52 + 1021);
    double n = t - (0x1.8p52 + 1021);
    double r = tj_fma(n, 1.7239444525614835e-13, tj_fma(n, -0.6931471805601177, c));
    double z = r * r;
    double o = tj_fma(r * z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 2.5109327103106407e-08, 2.7557243438535124e-06), 0.00019841269886824832),
        0.008333333333321384), 0.16666666666666677), r);
    double e = z * tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 2.0921770142773764e-09, 2.755725181943537e-07), 2.4801587349202134e-05),
        0.0013888888888873283), 0.041666666666666685), 0.5);
    double a = tj_float_f64(tj_bits_f64(t) << 52);
    double b = 0x1p-4 * tj_float_f64(0x7fe0000000000000u - tj_bits_f64(a));
    double d = a + b;
    return 2.0 * (d + tj_fma(a - b, o, d * e));
}

//@ helper tj_trig_f64 : tj_prelude
// Beyond this bound the reduction below loses digits: a loop that has seen such an argument is run again with
// libm's function (vmath.py, GUARDS).
#if TJ_HAS_FMA
#define TJ_TRIG_LIMIT_F64 1e13
#else
#define TJ_TRIG_LIMIT_F64 1e8
#endif
// x - n pi; the first difference is exact, the third constant matters where x is next to a multiple of pi.
TJ_MATH double tj_minus_pi_f64(double x, double n) {
#if TJ_HAS_FMA
    double r = tj_fma(n, -3.141592653589793, x);
    r = tj_fma(n, -1.2246467991473532e-16, r);
    return tj_fma(n, 2.9947698097183397e-33, r);
#else
    double r = tj_fma(n, 2.781813535079891e-08, tj_fma(n, -3.1415926814079285, x));
    return tj_fma(n, 3.806977924038653e-25, tj_fma(n, -1.224646802954331e-16, r));
#endif
}
TJ_MATH uint64_t tj_trig_wide_f64(double x) { return fabs(x) > TJ_TRIG_LIMIT_F64; }
TJ_MATH double tj_sin_reduced_f64(double r) {
    double z = r * r;
    double q = tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 2.721337659451377e-15, -7.643012591943631e-13), 1.605894078455485e-10),
        -2.505210690104952e-08), 2.7557319211544452e-06), -0.00019841269841212408),
        0.008333333333333207), -0.16666666666666666);
    return tj_fma(r * z, q, r);
}

//@ tj_sin_f64 : tj_trig_f64
// 1.65 ULP.
TJ_MATH double tj_sin_f64(double x) {
    double a = fabs(x);
    double t = tj_fma(a, 0.3183098861837907, 0x1.8p52);
    double y = tj_sin_reduced_f64(tj_minus_pi_f64(a, t - 0x1.8p52));
    return tj_float_f64(tj_bits_f64(y) ^ (tj_bits_f64(t) << 63) ^ (tj_bits_f64(x) & 0x8000000000000000u));
}

//@ tj_cos_f64 : tj_trig_f64
// 1.67 ULP. cos x = -(-1)^n sin(x - (n + 1/2) pi).
TJ_MATH double tj_cos_f64(double x) {
    double a = fabs(x);
    double t = tj_fma(a, 0.3183098861837907, -0.5) + 0x1.8p52;
    double y = tj_sin_reduced_f64(tj_minus_pi_f64(a, (t - 0x1.8p52) + 0.5));
    return tj_float_f64(tj_bits_f64(y) ^ ((tj_bits_f64(t) + 1) << 63));
}

//@ tj_tan_f64 : tj_trig_f64
// 3.18 ULP. Sine over cosine on [-pi/4, pi/4], exchanged in odd quadrants.
TJ_MATH double tj_tan_f64(double x) {
    double a = fabs(x);
    double t = tj_fma(a, 0.6366197723675814, 0x1.8p52);
    double r = tj_minus_pi_f64(a, 0.5 * (t - 0x1.8p52));
    double z = r * r;
    double s = tj_fma(r * z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, 1.5896468965341235e-10, -2.5050753401404326e-08), 2.7557313669258974e-06),
        -0.00019841269829771438), 0.008333333333322422), -0.16666666666666632), r);
    double c = 1.0 + tj_fma(-0.5, z, z * z * tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, -1.1358441100290765e-11, 2.0875700673801136e-09), -2.755731419165718e-07),
        2.480158728894685e-05), -0.0013888888888873303), 0.041666666666666595));
    int odd = (tj_bits_f64(t) & 1) != 0;
    double y = (odd ? -c : s) / (odd ? s : c);
    return tj_float_f64(tj_bits_f64(y) ^ (tj_bits_f64(x) & 0x8000000000000000u));
}

//@ helper tj_arctan_reduced_f64 : tj_prelude
// arctan(y / x), y, x >= 0: the angle turned by 0, pi/4 or pi/2, so that one division leaves |q| <=
// tan(pi/8).
TJ_MATH double tj_arctan_reduced_f64(double y, double x) {
    int low = y <= 0.41421356237309503 * x, high = y > 2.414213562373095 * x;
    double q = (low ? y : high ? -x : y - x) / (low ? x : high ? y : y + x);
    double z = q * q;
    double p = tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, tj_fma(z, -0.01791283938630544, 0.038069877208704056), -0.050395204911217524),
        0.058479385042400335), -0.06663110959227249), 0.07692060831889308), -0.09090897792646138),
        0.11111110784671173), -0.14285714280220466), 0.19999999999953819), -0.333333333333332);
    double turn = low ? 0.0 : high ? 1.5707963267948966 : 0.7853981633974483;
    double rest = low ? 0.0 : high ? 6.123233995736766e-17 : 3.061616997868383e-17;
    return turn + (q + tj_fma(q * z, p, rest));
}

//@ tj_arctan_f64 : tj_arctan_reduced_f64
// 1.34 ULP.
TJ_MATH double tj_arctan_f64(double x) {
    double a = fabs(x);
    a = a > 1e300 ? 1e300 : a;
    return copysign(tj_arctan_reduced_f64(a, 1.0), x);
}

//@ tj_hypot_f64 : tj_prelude
// 0.98 ULP. Large and small arguments are scaled by powers of two.
TJ_MATH double tj_hypot_f64(double x, double y) {
    x = fabs(x), y = fabs(y);
    double a = x < y ? y : x, b = x < y ? x : y;
    double s = a > 0x1p510 ? 0x1p-600 : a < 0x1p-450 ? 0x1p600 : 1.0;
    double u = a > 0x1p510 ? 0x1p600 : a < 0x1p-450 ? 0x1p-600 : 1.0;
    a *= s, b *= s;
    double h = sqrt(tj_fma(a, a, b * b)) * u;
    h = x != x || y != y ? TJ_NAN : h;
    return x == TJ_INF || y == TJ_INF ? TJ_INF : h;
}

//@ tj_hypot_f32 : tj_prelude
// 0.50 ULP. In double precision neither square is rounded.
TJ_MATH float tj_hypot_f32(float x, float y) {
    double a = x, b = y, h = sqrt(a * a + b * b);
    int infinite = fabs(a) == TJ_INF || fabs(b) == TJ_INF;
    return (float)(infinite ? TJ_INF : h);
}

//@ tj_arctan2_f64 : tj_arctan_reduced_f64
// 1.8 ULP. Scaled down where the sum would overflow; 0/0 and inf/inf become ratios with C's angle.
TJ_MATH double tj_arctan2_f64(double y, double x) {
    double a = fabs(y), b = fabs(x);
    double s = a > 0x1p1000 || b > 0x1p1000 ? 0x1p-60 : 1.0;
    int same = a == b;
    int nothing = same & (a == 0.0), everything = same & (a == TJ_INF);
    a = everything ? 1.0 : a * s;
    b = everything || nothing ? 1.0 : b * s;
    double t = tj_arctan_reduced_f64(a, b);
    // the sign bit of x, not its value: atan2(0, -0) is pi
    int left = (int64_t)tj_bits_f64(x) < 0;
    t = left ? 3.141592653589793 - (t - 1.2246467991473532e-16) : t;
    t = x != x ? x : t;
    return copysign(t, y);
}

//@ tj_erf_f64 : tj_prelude
// 1.03 ULP. An odd series up to 1; beyond, 1 - e^g with a polynomial g = log(erfc x).
TJ_MATH double tj_erf_f64(double x) {
    double a = fabs(x);
    double z = a * a;
    double small = tj_fma(a, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, tj_fma(z, tj_fma(z,
        tj_fma(z, -7.883105486042428e-10, 1.3765765721776021e-08), -1.6218642793508222e-07),
        1.6448666298195144e-06), -1.4924826961189339e-05), 0.00012055298765485575),
        -0.0008548326063451824), 0.00522397760769644), -0.026866170643086825), 0.11283791670942124),
        -0.3761263890318341), 0.12837916709551256), a);
    double b = a > 6.0 ? 6.0 : a;
    double g = tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b,
        tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b, tj_fma(b,
        tj_fma(b, -4.864829281356325e-12, 2.0202404533450509e-10), -3.889835343363301e-09),
        4.5931315398865605e-08), -3.6955151562374724e-07), 2.114725092505493e-06),
        -8.578476304933398e-06), 2.2531906126663504e-05), -1.9520431168764537e-05),
        -0.00013656083384283178), 0.0007730533653271916), -0.0019189580910471188),
        0.00041354826209533927), 0.01898803372411922), -0.10270228547551793), -0.636644056650091),
        -1.1283739913686268), -5.13276533334995e-07);
    double t = tj_fma(g, 1.4426950408889634, 0x1.8p52 + 1023);
    double n = t - (0x1.8p52 + 1023);
    double r = tj_fma(n, -0.6931471805599453, g);
    double q = tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r, tj_fma(r,
        tj_fma(r, 2.511760795029965e-08, 2.763127827434669e-07), 2.755721715906956e-06),
        2.480148994898855e-05), 0.00019841269916350416), 0.0013888888947008542), 0.008333333333307723),
        0.04166666666651545), 0.166666666666667), 0.5000000000000012);
    double big = tj_fma(-tj_float_f64(tj_bits_f64(t) << 52), 1.0 + tj_fma(r * r, q, r), 1.0);
    return copysign(a < 1.0 ? small : big, x);
}

//@ helper tj_exp_clamped_f32 : tj_prelude
// exp on [-104, 89], as tj_exp_clamped_f64.
TJ_MATH float tj_exp_clamped_f32(float x) {
    float t = tj_fmaf(x, 1.44269502f, 0x1.8p23f + 254);
    uint32_t u = tj_bits_f32(t), h = u >> 1;
    float n = t - (0x1.8p23f + 254);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, x));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013950538f, 0.00836889f), 0.041666206f), 0.16666518f), 0.5f);
    float y = 1.0f + tj_fmaf(r * r, q, r);
    return y * tj_float_f32(h << 23) * tj_float_f32((u - h) << 23);
}

//@ tj_exp_f32 : tj_exp_clamped_f32
// 1.01 ULP.
TJ_MATH float tj_exp_f32(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    return tj_exp_clamped_f32(x);
}

//@ helper tj_exp_neg_f32 : tj_prelude
// exp(-|x|), as tj_exp_neg_f64.
TJ_MATH float tj_exp_neg_f32(float x) {
    x = -fabsf(x);
    x = x < -104.0f ? -104.0f : x;
    float t = tj_fmaf(x, 1.44269502f, 0x1.8p23f + 159);
    float n = t - (0x1.8p23f + 159);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, x));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013950538f, 0.00836889f), 0.041666206f), 0.16666518f), 0.5f);
    float y = 1.0f + tj_fmaf(r * r, q, r);
    return y * tj_float_f32(tj_bits_f32(t) << 23) * 0x1p-32f;
}

//@ tj_exp2_f32 : tj_prelude
// 0.93 ULP.
TJ_MATH float tj_exp2_f32(float x) {
    x = x > 129.0f ? 129.0f : x;
    x = x < -151.0f ? -151.0f : x;
    float t = x + (0x1.8p23f + 254);
    uint32_t u = tj_bits_f32(t), h = u >> 1;
    float r = x - (t - (0x1.8p23f + 254));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.00015476323f, 0.00134003f), 0.009618004f), 0.05550328f), 0.2402265f), 0.6931472f);
    float y = tj_fmaf(r, q, 1.0f);
    return y * tj_float_f32(h << 23) * tj_float_f32((u - h) << 23);
}

//@ tj_expm1_f32 : tj_prelude
// 1.56 ULP.
TJ_MATH float tj_expm1_f32(float x) {
    float c = x > 89.0f ? 89.0f : x;
    c = c < -25.0f ? -25.0f : c;
    float t = tj_fmaf(c, 1.44269502f, 0x1.8p23f + 126);
    float n = t - (0x1.8p23f + 126);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, c));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013946366f, 0.008366585f), 0.041666284f), 0.16666543f), 0.5f);
    float p = tj_fmaf(r * r, q, r);
    float s = tj_float_f32(tj_bits_f32(t) << 23);
    float y = 2.0f * tj_fmaf(s, p, s - 0.5f);
    return fabsf(x) < 1e-30f ? x : y;
}

//@ helper tj_log_tail_f32 : tj_prelude
// log(1 + f) = f + tj_log_tail_f32(f) on [sqrt(1/2) - 1, sqrt(2) - 1]; short enough to need no division.
TJ_MATH float tj_log_tail_f32(float f) {
    float p = tj_fmaf(f, tj_fmaf(f, tj_fmaf(f, tj_fmaf(f, tj_fmaf(f, tj_fmaf(f,
        tj_fmaf(f, -0.07860565f, 0.12883379f), -0.13129207f), 0.14180988f), -0.1662449f), 0.20002292f),
        -0.25000814f), 0.33333316f);
    return f * f * tj_fmaf(f, p, -0.5f);
}

//@ tj_log_f32 : tj_log_tail_f32
// 0.92 ULP.
TJ_MATH float tj_log_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float l = tj_fmaf(k, 0.693145751953125f, tj_fmaf(k, 1.428606765330187e-06f, f) + tj_log_tail_f32(f));
    float s = x > 0.0f ? x : (x == 0.0f ? TJ_POLE_F32 : tj_float_f32(TJ_SIGNAL_F32));
    return (x > 0.0f) & (x < (float)TJ_INF) ? l : s + s;
}

//@ tj_log2_f32 : tj_log_tail_f32
// 1.0 ULP. Powers of two are exact.
TJ_MATH float tj_log2_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    k = x > 0.0f ? k : tj_float_f32(TJ_SIGNAL_F32);
    float l = k + tj_fmaf(f, 1.44269502f,
        tj_fmaf(tj_log_tail_f32(f), 1.44269502f, f * 1.925963033500011e-08f));
    l = x < (float)TJ_INF ? l : x;
    return x == 0.0f ? -(float)TJ_INF : l;
}

//@ tj_log10_f32 : tj_log_tail_f32
// 1.16 ULP.
TJ_MATH float tj_log10_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float m = tj_fmaf(f, 0.434294492f,
        tj_fmaf(k, 4.605039066518657e-06f, tj_log_tail_f32(f) * 0.434294492f));
    float l = tj_fmaf(k, 0.301025390625f, m);
    float s = x > 0.0f ? x : (x == 0.0f ? TJ_POLE_F32 : tj_float_f32(TJ_SIGNAL_F32));
    return (x > 0.0f) & (x < (float)TJ_INF) ? l : s + s;
}

//@ tj_log1p_f32 : tj_log_tail_f32
// 1.49 ULP.
TJ_MATH float tj_log1p_f32(float x) {
    uint32_t t = tj_bits_f32(1.0f + x) - 0x3f3504f3u;
    float c = tj_float_f32(0x40800000u - (t & 0xff800000u));
    float f = tj_fmaf(0.25f * x, c, tj_fmaf(0.25f, c, -1.0f));
    float k = (float)((int32_t)t >> 23);
    f = k == 0.0f ? x : f;
    float l = tj_fmaf(k, 0.693145751953125f, tj_fmaf(k, 1.428606765330187e-06f, f) + tj_log_tail_f32(f));
    float s = x > -1.0f ? x : (x == -1.0f ? TJ_POLE_F32 : tj_float_f32(TJ_SIGNAL_F32));
    return copysignf((x > -1.0f) & (x < (float)TJ_INF) ? l : s + s, x);
}

//@ helper tj_log1p_unit_f32 : tj_log_tail_f32
// log(1 + t) for t in [0, 1].
TJ_MATH float tj_log1p_unit_f32(float t) {
    int big = t > 0.414213562f;
    float f = big ? 0.5f * t - 0.5f : t;
    return (big ? 0.693147182f : 0.0f) + (f + tj_log_tail_f32(f));
}

//@ tj_softplus_f32 : tj_exp_neg_f32 tj_log1p_unit_f32
// 1.73 ULP.
TJ_MATH float tj_softplus_f32(float x) {
    return (x > 0.0f ? x : 0.0f) + tj_log1p_unit_f32(tj_exp_neg_f32(x));
}

//@ tj_logaddexp_f32 : tj_exp_neg_f32 tj_log1p_unit_f32
// 2.74 ULP.
TJ_MATH float tj_logaddexp_f32(float a, float b) {
    float d = a == b ? 0.0f : a - b;
    return (a > b ? a : b) + tj_log1p_unit_f32(tj_exp_neg_f32(d));
}

//@ tj_log1mexp_f32 : tj_log_tail_f32
// 1.98 ULP.
TJ_MATH float tj_log1mexp_f32(float x) {
    float a = x < -104.0f ? -104.0f : x;
    float t = tj_fmaf(a, 1.44269502f, 0x1.8p23f + 159);
    float n = t - (0x1.8p23f + 159);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, a));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013946366f, 0.008366585f), 0.041666284f), 0.16666543f), 0.5f);
    float p = tj_fmaf(r * r, q, r);
    float s = tj_float_f32(tj_bits_f32(t) << 23);
    float e = tj_fmaf(s, p, s) * 0x1p-32f;
    s = s * 0x1p-32f;
    int near = x > -0.693147181f;
    float y = -0x1p32f * tj_fmaf(s, p, s - 1.0f);
    float m = near ? (x > -1e-30f ? x * -0x1p32f : y) : 1.0f - e;
    uint32_t d = tj_bits_f32(m) - 0x3f3504f3u;
    float c = tj_float_f32(0x3f800000u - (d & 0xff800000u));
    float f = (near ? m : -e) * c + (near ? -1.0f : c - 1.0f);
    float k = (float)((int32_t)d >> 23) - (near ? 32.0f : 0.0f);
    float l = tj_fmaf(k, 0.693145751953125f, tj_fmaf(k, 1.428606765330187e-06f, f) + tj_log_tail_f32(f));
    l = e < 1e-9f ? -e : l;
    return x < 0.0f ? l : (x == 0.0f ? -(float)TJ_INF : (float)TJ_NAN);
}

//@ tj_sigmoid_f32 : tj_exp_neg_f32
// 2.17 ULP.
TJ_MATH float tj_sigmoid_f32(float x) {
    float t = tj_exp_neg_f32(x);
    return (x < 0.0f ? t : 1.0f) / (1.0f + t);
}

//@ tj_tanh_f32 : tj_prelude
// 2.49 ULP.
TJ_MATH float tj_tanh_f32(float x) {
    float c = -2.0f * fabsf(x);
    c = c < -25.0f ? -25.0f : c;
    float t = tj_fmaf(c, 1.44269502f, 0x1.8p23f + 127);
    float n = t - (0x1.8p23f + 127);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, c));
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013946366f, 0.008366585f), 0.041666284f), 0.16666543f), 0.5f);
    float p = tj_fmaf(r * r, q, r);
    float s = tj_float_f32(tj_bits_f32(t) << 23);
    float y = tj_fmaf(s, p, s - 1.0f);
    return copysignf(y / (2.0f + y), x);
}

//@ tj_sinh_f32 : tj_prelude
// 1.35 ULP.
TJ_MATH float tj_sinh_f32(float x) {
    float c = fabsf(x);
    c = c > 89.6f ? 89.6f : c;
    float t = tj_fmaf(c, 1.44269502f, 0x1.8p23f + 125);
    float n = t - (0x1.8p23f + 125);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, c));
    float z = r * r;
    float o = tj_fmaf(r * z, tj_fmaf(z, tj_fmaf(z, 0.0001997405f, 0.008333175f), 0.16666667f), r);
    float e = z * tj_fmaf(z, tj_fmaf(z, 0.0013935427f, 0.04166646f), 0.5f);
    float a = tj_float_f32(tj_bits_f32(t) << 23);
    float b = 0x1p-4f * tj_float_f32(0x7f000000u - tj_bits_f32(a));
    float d = a - b;
    float y = 2.0f * (d + tj_fmaf(a + b, o, d * e));
    return fabsf(x) < 1e-30f ? x : copysignf(y, x);
}

//@ tj_cosh_f32 : tj_prelude
// 1.93 ULP.
TJ_MATH float tj_cosh_f32(float x) {
    float c = fabsf(x);
    c = c > 89.6f ? 89.6f : c;
    float t = tj_fmaf(c, 1.44269502f, 0x1.8p23f + 125);
    float n = t - (0x1.8p23f + 125);
    float r = tj_fmaf(n, -1.428606765330187e-06f, tj_fmaf(n, -0.693145751953125f, c));
    float z = r * r;
    float o = tj_fmaf(r * z, tj_fmaf(z, tj_fmaf(z, 0.0001997405f, 0.008333175f), 0.16666667f), r);
    float e = z * tj_fmaf(z, tj_fmaf(z, 0.0013935427f, 0.04166646f), 0.5f);
    float a = tj_float_f32(tj_bits_f32(t) << 23);
    float b = 0x1p-4f * tj_float_f32(0x7f000000u - tj_bits_f32(a));
    float d = a + b;
    return 2.0f * (d + tj_fmaf(a - b, o, d * e));
}

//@ helper tj_trig_f32 : tj_prelude
#if TJ_HAS_FMA
#define TJ_TRIG_LIMIT_F32 100000.0f
#else
#define TJ_TRIG_LIMIT_F32 10000.0f
#endif
// x - n pi, as tj_minus_pi_f64.
TJ_MATH float tj_minus_pi_f32(float x, float n) {
#if TJ_HAS_FMA
    float r = tj_fmaf(n, -3.1415927410125732f, x);
    r = tj_fmaf(n, 8.742277657347586e-08f, r);
    return tj_fmaf(n, 3.4302490200117637e-15f, r);
#else
    float r = tj_fmaf(n, -0.0009679794311523438f, tj_fmaf(n, -3.140625f, x));
    return tj_fmaf(n, 1.1128863108833542e-10f, tj_fmaf(n, 3.257300704717636e-07f, r));
#endif
}
TJ_MATH uint32_t tj_trig_wide_f32(float x) { return fabsf(x) > TJ_TRIG_LIMIT_F32; }
TJ_MATH float tj_sin_reduced_f32(float r) {
    float z = r * r;
    float q = tj_fmaf(z, tj_fmaf(z,
        tj_fmaf(z, 2.5994664e-06f, -0.00019806842f), 0.00833303f), -0.16666658f);
    return tj_fmaf(r * z, q, r);
}

//@ tj_sin_f32 : tj_trig_f32
// 1.69 ULP.
TJ_MATH float tj_sin_f32(float x) {
    float a = fabsf(x);
    float t = tj_fmaf(a, 0.318309873f, 0x1.8p23f);
    float y = tj_sin_reduced_f32(tj_minus_pi_f32(a, t - 0x1.8p23f));
    return tj_float_f32(tj_bits_f32(y) ^ (tj_bits_f32(t) << 31) ^ (tj_bits_f32(x) & 0x80000000u));
}

//@ tj_cos_f32 : tj_trig_f32
// 1.68 ULP.
TJ_MATH float tj_cos_f32(float x) {
    float a = fabsf(x);
    float t = tj_fmaf(a, 0.318309873f, -0.5f) + 0x1.8p23f;
    float y = tj_sin_reduced_f32(tj_minus_pi_f32(a, (t - 0x1.8p23f) + 0.5f));
    return tj_float_f32(tj_bits_f32(y) ^ ((tj_bits_f32(t) + 1) << 31));
}

//@ tj_tan_f32 : tj_trig_f32
// 2.91 ULP.
TJ_MATH float tj_tan_f32(float x) {
    float a = fabsf(x);
    float t = tj_fmaf(a, 0.636619747f, 0x1.8p23f);
    float r = tj_minus_pi_f32(a, 0.5f * (t - 0x1.8p23f));
    float z = r * r;
    float y = tj_fmaf(r * z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z,
        tj_fmaf(z, 0.004641271f, -0.000451204f), 0.011265253f), 0.021115359f), 0.054092452f),
        0.13332374f), 0.33333358f), r);
    int odd = (tj_bits_f32(t) & 1) != 0;
    y = (odd ? -1.0f : y) / (odd ? y : 1.0f);
    return tj_float_f32(tj_bits_f32(y) ^ (tj_bits_f32(x) & 0x80000000u));
}

//@ helper tj_arctan_reduced_f32 : tj_prelude
// arctan(y / x) for y, x >= 0, turned by pi/2 where y > x; the series covers all of [-1, 1].
TJ_MATH float tj_arctan_reduced_f32(float y, float x) {
    int high = y > x;
    float q = (high ? -x : y) / (high ? y : x);
    float z = q * q;
    float p = tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z,
        tj_fmaf(z, -0.0018186654f, 0.011028796f), -0.031394225f), 0.058177907f), -0.08416455f),
        0.10956657f), -0.14265092f), 0.19998626f), -0.33333302f);
    float rest = high ? -4.37113883e-08f : 0.0f;
    float turned = q + tj_fmaf(q * z, p, rest);
    return (high ? 1.57079637f : 0.0f) + turned;
}

//@ tj_arctan_f32 : tj_arctan_reduced_f32
// 1.11 ULP.
TJ_MATH float tj_arctan_f32(float x) {
    return copysignf(tj_arctan_reduced_f32(fabsf(x), 1.0f), x);
}

//@ tj_arctan2_f32 : tj_arctan_reduced_f32
// 1.48 ULP.
TJ_MATH float tj_arctan2_f32(float y, float x) {
    float a = fabsf(y), b = fabsf(x);
    int same = a == b;
    int nothing = same & (a == 0.0f), everything = same & (a == (float)TJ_INF);
    a = everything ? 1.0f : a;
    b = everything || nothing ? 1.0f : b;
    float t = tj_arctan_reduced_f32(a, b);
    int left = (int32_t)tj_bits_f32(x) < 0;
    t = left ? 3.14159274f - (t + 8.74227766e-08f) : t;
    t = x != x ? x : t;
    return copysignf(t, y);
}

//@ tj_erf_f32 : tj_prelude
// 1.41 ULP.
TJ_MATH float tj_erf_f32(float x) {
    float a = fabsf(x);
    float z = a * a;
    float small = tj_fmaf(a, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z, tj_fmaf(z,
        tj_fmaf(z, -0.0005633203f, 0.0049180323f), -0.026711762f), 0.11280197f), -0.37612328f),
        0.12837912f), a);
    float b = a > 4.0f ? 4.0f : a;
    float g = tj_fmaf(b, tj_fmaf(b, tj_fmaf(b, tj_fmaf(b, tj_fmaf(b,
        tj_fmaf(b, 0.00018556537f, -0.002939529f), 0.021805033f), -0.103036836f), -0.6382262f),
        -1.1270398f), -0.00035377895f);
    float t = tj_fmaf(g, 1.44269502f, 0x1.8p23f + 127);
    float n = t - (0x1.8p23f + 127);
    float r = tj_fmaf(n, -0.693147182f, g);
    float q = tj_fmaf(r, tj_fmaf(r, tj_fmaf(r,
        tj_fmaf(r, 0.0013950538f, 0.00836889f), 0.041666206f), 0.16666518f), 0.5f);
    float big = tj_fmaf(-tj_float_f32(tj_bits_f32(t) << 23), 1.0f + tj_fmaf(r * r, q, r), 1.0f);
    return copysignf(a < 1.0f ? small : big, x);
}
