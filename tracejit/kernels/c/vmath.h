// Vector math: branch-free scalar functions that a compiler turns into SIMD code inside `#pragma omp simd`.
//
// Every function is blends, bit operations and polynomials, so that gcc and clang vectorise the surrounding loop for
// SSE4, AVX2, AVX-512 or NEON. NaN, infinities, signed zeros, subnormals and the edges of the domain give what the C
// library gives. Compile without -ffast-math, with -fno-trapping-math and -ffp-contract=fast.
//
// A section starts with a line of slashes, at-sign, name and the names it needs; vmath.py hands out the sections that
// a kernel uses. The first comment line of each function gives its largest measured error in units in the last place.
//
// Where the numbers come from: polynomial coefficients are weighted minimax fits (Remez exchange in 60 digits, then
// rounded, tools/minimax.py); split constants are rounded leading parts of the exact value. The reductions are the textbook ones:
// Cody and Waite, "Software Manual for the Elementary Functions" (1980); Muller, "Elementary Functions" (2016).
// The addition of 1.5 * 2^52 (or 2^23) rounds to the nearest integer and leaves it in the low bits of the sum.

//@ tj_prelude
#include <math.h>
#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#define TJ_MATH static __forceinline
#else
#define TJ_MATH static inline __attribute__((always_inline))
#endif
// With a fused multiply-add, a product needs no spare bits to be subtracted exactly.
#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA) || (defined(_MSC_VER) && defined(__AVX2__))
#define TJ_HAS_FMA 1
#else
#define TJ_HAS_FMA 0
#endif

TJ_MATH uint64_t tj_bits_f64(double x) { union { double f; uint64_t u; } v; v.f = x; return v.u; }
TJ_MATH double tj_float_f64(uint64_t u) { union { double f; uint64_t u; } v; v.u = u; return v.f; }
TJ_MATH uint32_t tj_bits_f32(float x) { union { float f; uint32_t u; } v; v.f = x; return v.u; }
TJ_MATH float tj_float_f32(uint32_t u) { union { float f; uint32_t u; } v; v.u = u; return v.f; }

//@ tj_prod_err_f64 : tj_prelude
// The rounding error of p = a * b, exactly: one fused operation, or Dekker's splitting on masked halves.
TJ_MATH double tj_prod_err_f64(double a, double b, double p) {
#if TJ_HAS_FMA
    return fma(a, b, -p);
#else
    double ah = tj_float_f64(tj_bits_f64(a) & 0xfffffffff8000000u), al = a - ah;
    double bh = tj_float_f64(tj_bits_f64(b) & 0xfffffffff8000000u), bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

//@ tj_exp_clamped_f64 : tj_prelude
// exp on [-746, 710]: 2^n e^r with |r| <= log(2)/2; the scale is applied in two halves, so that overflow and gradual
// underflow happen once, in the last multiplication.
TJ_MATH double tj_exp_clamped_f64(double x) {
    double t = x * 1.4426950408889634 + 0x1.8p52;
    uint64_t u = tj_bits_f64(t), h = u >> 1;
    double n = t - 0x1.8p52;
    double r = (x - n * 0.6931471805601177) - n * -1.7239444525614835e-13;
    double z = r * r;
    double q0 = 0.5000000000000012 + z * (0.04166666666651545 + z * (0.0013888888947008542
        + z * (2.480148994898855e-05 + z * 2.763127827434669e-07)));
    double q1 = 0.166666666666667 + z * (0.008333333333307723 + z * (0.00019841269916350416
        + z * (2.755721715906956e-06 + z * 2.511760795029965e-08)));
    double q = q0 + r * q1;
    double y = 1.0 + (r + z * q);
    return y * tj_float_f64((h + 1023) << 52) * tj_float_f64((u - h + 1023) << 52);
}

//@ tj_exp_f64 : tj_exp_clamped_f64
// 1.07 ULP.
TJ_MATH double tj_exp_f64(double x) {
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    return tj_exp_clamped_f64(x);
}

//@ tj_exp_neg_f64 : tj_exp_clamped_f64
// exp(-|x|).
TJ_MATH double tj_exp_neg_f64(double x) {
    x = -fabs(x);
    x = x < -746.0 ? -746.0 : x;
    return tj_exp_clamped_f64(x);
}

//@ tj_exp2_f64 : tj_prelude
// 1.08 ULP.
TJ_MATH double tj_exp2_f64(double x) {
    x = x > 1025.0 ? 1025.0 : x;
    x = x < -1076.0 ? -1076.0 : x;
    double t = x + 0x1.8p52;
    uint64_t u = tj_bits_f64(t), h = u >> 1;
    double r = x - (t - 0x1.8p52);
    double z = r * r;
    double q0 = 0.6931471805599453 + z * (0.05550410866482174 + z * (0.0013333558146378828
        + z * (1.5252733867722219e-05 + z * (1.0178046392735361e-07 + z * 4.4573966550871784e-10))));
    double q1 = 0.24022650695910133 + z * (0.009618129107593274 + z * (0.00015403530458160526
        + z * (1.3215434773595613e-06 + z * 7.073868065753237e-09)));
    double q = q0 + r * q1;
    double y = 1.0 + r * q;
    return y * tj_float_f64((h + 1023) << 52) * tj_float_f64((u - h + 1023) << 52);
}

//@ tj_expm1_f64 : tj_prelude
// 2.08 ULP. 2 (s p + (s - 1/2)) with s = 2^(n-1), p = expm1(r): exact in s, and it overflows where it should.
TJ_MATH double tj_expm1_f64(double x) {
    double c = x > 710.0 ? 710.0 : x;
    c = c < -50.0 ? -50.0 : c;
    double t = c * 1.4426950408889634 + 0x1.8p52;
    double n = t - 0x1.8p52;
    double r = (c - n * 0.6931471805601177) - n * -1.7239444525614835e-13;
    double z = r * r;
    double q0 = 0.5000000000000006 + z * (0.04166666666657362 + z * (0.0013888888932379413
        + z * (2.480150444539456e-05 + z * 2.762632672778848e-07)));
    double q1 = 0.16666666666666685 + z * (0.008333333333314586 + z * (0.000198412699030481
        + z * (2.7557227934481598e-06 + z * 2.5114480792135607e-08)));
    double q = q0 + r * q1;
    double p = r + z * q;
    double s = tj_float_f64((tj_bits_f64(t) + 1022) << 52);
    double y = 2.0 * (s * p + (s - 0.5));
    return fabs(x) < 1e-300 ? x : y;
}

//@ tj_log_parts_f64 : tj_prelude
// log(1 + f) on [sqrt(1/2) - 1, sqrt(2) - 1] as f - (f^2/2 - R): returns R; odd series in s = f / (2 + f).
TJ_MATH double tj_log_parts_f64(double f, double half_square) {
    double s = f / (2.0 + f);
    double z = s * s;
    double w = z * z;
    double p0 = 0.6666666666666735 + w * (0.28571428743699073 + w * (0.1818357243574531
        + w * 0.14798280671156513));
    double p1 = 0.39999999999409314 + w * (0.22222198427509218 + w * 0.15313830029217038);
    double p = p0 + z * p1;
    return s * (half_square + z * p);
}

//@ tj_log_f64 : tj_log_parts_f64
// 0.74 ULP.
TJ_MATH double tj_log_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u)
        - (small ? 0x1p52 + 1078.0 : 0x1p52 + 1024.0);
    double h = 0.5 * f * f;
    double r = tj_log_parts_f64(f, h);
    double l = k * 0.6931471805601177 - ((h - (r + k * -1.7239444525614835e-13)) - f);
    l = x < INFINITY ? l : x;
    return x > 0.0 ? l : (x == 0.0 ? -INFINITY : NAN);
}

//@ tj_log2_f64 : tj_log_parts_f64 tj_prod_err_f64
// 0.68 ULP. Powers of two are exact.
TJ_MATH double tj_log2_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u)
        - (small ? 0x1p52 + 1078.0 : 0x1p52 + 1024.0);
    double h = 0.5 * f * f;
    double hi = f - h;
    double lo = ((f - hi) - h) + tj_log_parts_f64(f, h);
    double p = hi * 1.4426950408889634;
    double e = tj_prod_err_f64(hi, 1.4426950408889634, p) + (hi * 2.0355273740931033e-17 + lo * 1.4426950408889634);
    double s = k + p;
    double l = s + (((k - s) + p) + e);
    l = x < INFINITY ? l : x;
    return x > 0.0 ? l : (x == 0.0 ? -INFINITY : NAN);
}

//@ tj_log10_f64 : tj_log_parts_f64 tj_prod_err_f64
// 0.62 ULP. log10(2) is split so that k times its leading part is exact.
TJ_MATH double tj_log10_f64(double x) {
    int small = x < 0x1p-1022;
    double y = small ? x * 0x1p54 : x;
    uint64_t u = tj_bits_f64(y), t = u - 0x3fe6a09e00000000u;
    double f = tj_float_f64(u - (t & 0xfff0000000000000u)) - 1.0;
    double k = tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u)
        - (small ? 0x1p52 + 1078.0 : 0x1p52 + 1024.0);
    double h = 0.5 * f * f;
    double hi = f - h;
    double lo = ((f - hi) - h) + tj_log_parts_f64(f, h);
    double p = hi * 0.4342944819032518;
    double e = tj_prod_err_f64(hi, 0.4342944819032518, p) + (hi * 1.098319650216765e-17 + lo * 0.4342944819032518);
    double m = k * 0.3010299956640665;
    double s = m + p;
    double l = s + (((m - s) + p) + (e + k * -8.532344317057107e-14));
    l = x < INFINITY ? l : x;
    return x > 0.0 ? l : (x == 0.0 ? -INFINITY : NAN);
}

//@ tj_log1p_f64 : tj_log_parts_f64
// 1.29 ULP. 1 + x = a + b exactly (two-sum); b, scaled as a is, joins the reduced argument.
TJ_MATH double tj_log1p_f64(double x) {
    double a = 1.0 + x, v = a - 1.0;
    double b = (1.0 - (a - v)) + (x - v);
    uint64_t u = tj_bits_f64(a), t = u - 0x3fe6a09e00000000u;
    uint64_t e = t & 0xfff0000000000000u;
    b = x < 0x1p100 ? b * tj_float_f64(0x3ff0000000000000u - e) : 0.0;
    double f = (tj_float_f64(u - e) - 1.0) + b;
    double k = tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u) - (0x1p52 + 1024.0);
    double h = 0.5 * f * f;
    double r = tj_log_parts_f64(f, h);
    double l = k * 0.6931471805601177 - ((h - (r + k * -1.7239444525614835e-13)) - f);
    l = x < INFINITY ? l : x;
    l = x > -1.0 ? l : (x == -1.0 ? -INFINITY : NAN);
    return copysign(l, x);
}

//@ tj_log1p_unit_f64 : tj_log_parts_f64
// log(1 + t) for t in [0, 1]: one comparison reduces it.
TJ_MATH double tj_log1p_unit_f64(double t) {
    int big = t > 0.41421356237309503;
    double f = big ? 0.5 * t - 0.5 : t;
    double h = 0.5 * f * f;
    double r = tj_log_parts_f64(f, h);
    return (big ? 0.6931471805601177 : 0.0) - ((h - (r + (big ? -1.7239444525614835e-13 : 0.0))) - f);
}

//@ tj_softplus_f64 : tj_exp_neg_f64 tj_log1p_unit_f64
// 1.59 ULP. log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
TJ_MATH double tj_softplus_f64(double x) {
    return (x > 0.0 ? x : 0.0) + tj_log1p_unit_f64(tj_exp_neg_f64(x));
}

//@ tj_logaddexp_f64 : tj_exp_neg_f64 tj_log1p_unit_f64
// ? ULP. max + log(1 + e^-|a-b|); equal infinities would give NaN as a difference.
TJ_MATH double tj_logaddexp_f64(double a, double b) {
    double d = a == b ? 0.0 : a - b;
    return (a > b ? a : b) + tj_log1p_unit_f64(tj_exp_neg_f64(d));
}

//@ tj_log1mexp_f64 : tj_expm1_f64 tj_exp_neg_f64 tj_log_parts_f64
// 2.26 ULP. log(1 - e^x), x <= 0: of -expm1(x) near zero, below -log 2 of 1 - e^x = a + b (exactly).
TJ_MATH double tj_log1mexp_f64(double x) {
    int near = x > -0.6931471805599453;
    double m = -tj_expm1_f64(x), w = tj_exp_neg_f64(x);
    int small = m < 0x1p-1022;
    double v = 1.0 - w;
    double a = near ? (small ? m * 0x1p54 : m) : v;
    double b = near ? 0.0 : (1.0 - v) - w;
    uint64_t u = tj_bits_f64(a), t = u - 0x3fe6a09e00000000u;
    uint64_t e = t & 0xfff0000000000000u;
    double f = (tj_float_f64(u - e) - 1.0) + b * tj_float_f64(0x3ff0000000000000u - e);
    double k = tj_float_f64(((t + 0x4000000000000000u) >> 52) | 0x4330000000000000u)
        - (small ? 0x1p52 + 1078.0 : 0x1p52 + 1024.0);
    double h = 0.5 * f * f;
    double r = tj_log_parts_f64(f, h);
    double l = k * 0.6931471805601177 - ((h - (r + k * -1.7239444525614835e-13)) - f);
    return x < 0.0 ? l : (x == 0.0 ? -INFINITY : NAN);
}

//@ tj_sigmoid_f64 : tj_exp_neg_f64
// 2.12 ULP. 1 / (1 + e^-x), from e^-|x| on both sides so that it underflows as e^x does.
TJ_MATH double tj_sigmoid_f64(double x) {
    double t = tj_exp_neg_f64(x);
    return (x < 0.0 ? t : 1.0) / (1.0 + t);
}

//@ tj_tanh_f64 : tj_prelude
// 2.52 ULP. With t = expm1(-2|x|), tanh|x| = -t / (2 + t).
TJ_MATH double tj_tanh_f64(double x) {
    double c = -2.0 * fabs(x);
    c = c < -50.0 ? -50.0 : c;
    double t = c * 1.4426950408889634 + 0x1.8p52;
    double n = t - 0x1.8p52;
    double r = (c - n * 0.6931471805601177) - n * -1.7239444525614835e-13;
    double z = r * r;
    double q0 = 0.5000000000000006 + z * (0.04166666666657362 + z * (0.0013888888932379413
        + z * (2.480150444539456e-05 + z * 2.762632672778848e-07)));
    double q1 = 0.16666666666666685 + z * (0.008333333333314586 + z * (0.000198412699030481
        + z * (2.7557227934481598e-06 + z * 2.5114480792135607e-08)));
    double q = q0 + r * q1;
    double p = r + z * q;
    double s = tj_float_f64((tj_bits_f64(t) + 1023) << 52);
    double y = s * p + (s - 1.0);
    return copysign(y / (2.0 + y), x);
}

//@ tj_sinh_f64 : tj_prelude
// 2.14 ULP. e^(+-r) = E(r^2) +- O(r): with a = 2^(n-2) and b = 2^(-n-2), sinh = 2 ((a - b) E + (a + b) O).
TJ_MATH double tj_sinh_f64(double x) {
    double c = fabs(x);
    c = c > 710.6 ? 710.6 : c;
    double t = c * 1.4426950408889634 + 0x1.8p52;
    double n = t - 0x1.8p52;
    double r = (c - n * 0.6931471805601177) - n * -1.7239444525614835e-13;
    double z = r * r;
    double w = z * z;
    double o0 = 0.16666666666666677 + w * (0.00019841269886824832 + w * 2.5109327103106407e-08);
    double o1 = 0.008333333333321384 + w * 2.7557243438535124e-06;
    double o = r + r * z * (o0 + z * o1);
    double e0 = 0.5 + w * (0.0013888888888873283 + w * 2.755725181943537e-07);
    double e1 = 0.041666666666666685 + w * (2.4801587349202134e-05 + w * 2.0921770142773764e-09);
    double e = z * (e0 + z * e1);
    double a = tj_float_f64((tj_bits_f64(t) + 1021) << 52);
    double b = 0x1p-4 * tj_float_f64(0x7fe0000000000000u - tj_bits_f64(a));
    double d = a - b;
    double y = 2.0 * (d + (d * e + (a + b) * o));
    return fabs(x) < 1e-300 ? x : copysign(y, x);
}

//@ tj_cosh_f64 : tj_prelude
// 1.39 ULP. As sinh: cosh = 2 ((a + b) E + (a - b) O).
TJ_MATH double tj_cosh_f64(double x) {
    double c = fabs(x);
    c = c > 710.6 ? 710.6 : c;
    double t = c * 1.4426950408889634 + 0x1.8p52;
    double n = t - 0x1.8p52;
    double r = (c - n * 0.6931471805601177) - n * -1.7239444525614835e-13;
    double z = r * r;
    double w = z * z;
    double o0 = 0.16666666666666677 + w * (0.00019841269886824832 + w * 2.5109327103106407e-08);
    double o1 = 0.008333333333321384 + w * 2.7557243438535124e-06;
    double o = r + r * z * (o0 + z * o1);
    double e0 = 0.5 + w * (0.0013888888888873283 + w * 2.755725181943537e-07);
    double e1 = 0.041666666666666685 + w * (2.4801587349202134e-05 + w * 2.0921770142773764e-09);
    double e = z * (e0 + z * e1);
    double a = tj_float_f64((tj_bits_f64(t) + 1021) << 52);
    double b = 0x1p-4 * tj_float_f64(0x7fe0000000000000u - tj_bits_f64(a));
    double d = a + b;
    return 2.0 * (d + (d * e + (a - b) * o));
}

//@ tj_trig_f64 : tj_prelude
// Beyond this bound the reduction below loses digits: the emitter then takes libm's function (see vmath.py, LIMITS).
#if TJ_HAS_FMA
#define TJ_TRIG_LIMIT_F64 1e13
#else
#define TJ_TRIG_LIMIT_F64 1e8
#endif
// x - n pi; the first difference is exact, the third constant matters where x is next to a multiple of pi.
TJ_MATH double tj_minus_pi_f64(double x, double n) {
#if TJ_HAS_FMA
    double r = fma(n, -3.141592653589793, x);
    r = fma(n, -1.2246467991473532e-16, r);
    return fma(n, 2.9947698097183397e-33, r);
#else
    return (((x - n * 3.1415926814079285) - n * -2.781813535079891e-08) - n * 1.224646802954331e-16) - n * -3.806977924038653e-25;
#endif
}
TJ_MATH double tj_sin_reduced_f64(double r) {
    double z = r * r;
    double w = z * z;
    double q0 = -0.16666666666666666 + w * (-0.00019841269841212408 + w * (-2.505210690104952e-08
        + w * -7.643012591943631e-13));
    double q1 = 0.008333333333333207 + w * (2.7557319211544452e-06 + w * (1.605894078455485e-10
        + w * 2.721337659451377e-15));
    double q = q0 + z * q1;
    return r + r * z * q;
}

//@ tj_sin_f64 : tj_trig_f64
// 2.05 ULP.
TJ_MATH double tj_sin_f64(double x) {
    double a = fabs(x);
    double t = a * 0.3183098861837907 + 0x1.8p52;
    double y = tj_sin_reduced_f64(tj_minus_pi_f64(a, t - 0x1.8p52));
    return tj_float_f64(tj_bits_f64(y) ^ (tj_bits_f64(t) << 63) ^ (tj_bits_f64(x) & 0x8000000000000000u));
}

//@ tj_cos_f64 : tj_trig_f64
// 2.02 ULP. cos x = -(-1)^n sin(x - (n + 1/2) pi).
TJ_MATH double tj_cos_f64(double x) {
    double a = fabs(x);
    double t = (a * 0.3183098861837907 - 0.5) + 0x1.8p52;
    double y = tj_sin_reduced_f64(tj_minus_pi_f64(a, (t - 0x1.8p52) + 0.5));
    return tj_float_f64(tj_bits_f64(y) ^ ((tj_bits_f64(t) + 1) << 63));
}

//@ tj_tan_f64 : tj_trig_f64
// 3.18 ULP. Sine over cosine on [-pi/4, pi/4], exchanged in odd quadrants.
TJ_MATH double tj_tan_f64(double x) {
    double a = fabs(x);
    double t = a * 0.6366197723675814 + 0x1.8p52;
    double r = tj_minus_pi_f64(a, 0.5 * (t - 0x1.8p52));
    double z = r * r;
    double w = z * z;
    double s0 = -0.16666666666666632 + w * (-0.00019841269829771438 + w * -2.5050753401404326e-08);
    double s1 = 0.008333333333322422 + w * (2.7557313669258974e-06 + w * 1.5896468965341235e-10);
    double s = r + r * z * (s0 + z * s1);
    double c0 = 0.041666666666666595 + w * (2.480158728894685e-05 + w * 2.0875700673801136e-09);
    double c1 = -0.0013888888888873303 + w * (-2.755731419165718e-07 + w * -1.1358441100290765e-11);
    double c = 1.0 + (z * z * (c0 + z * c1) - 0.5 * z);
    int odd = (tj_bits_f64(t) & 1) != 0;
    double y = (odd ? -c : s) / (odd ? s : c);
    return tj_float_f64(tj_bits_f64(y) ^ (tj_bits_f64(x) & 0x8000000000000000u));
}

//@ tj_arctan_reduced_f64 : tj_prelude
// arctan(y / x) for y, x >= 0: the angle is turned by 0, pi/4 or pi/2 so that one division leaves |q| <= tan(pi/8).
TJ_MATH double tj_arctan_reduced_f64(double y, double x) {
    int low = y < 0.41421356237309503 * x, high = y > 2.414213562373095 * x;
    double q = (low ? y : high ? -x : y - x) / (low ? x : high ? y : y + x);
    double z = q * q;
    double w = z * z;
    double p0 = -0.333333333333332 + w * (-0.14285714280220466 + w * (-0.09090897792646138
        + w * (-0.06663110959227249 + w * (-0.050395204911217524 + w * -0.01791283938630544))));
    double p1 = 0.19999999999953819 + w * (0.11111110784671173 + w * (0.07692060831889308
        + w * (0.058479385042400335 + w * 0.038069877208704056)));
    double p = p0 + z * p1;
    double turn = low ? 0.0 : high ? 1.5707963267948966 : 0.7853981633974483;
    double rest = low ? 0.0 : high ? 6.123233995736766e-17 : 3.061616997868383e-17;
    return turn + (q + (q * z * p + rest));
}

//@ tj_arctan_f64 : tj_arctan_reduced_f64
// 1.34 ULP.
TJ_MATH double tj_arctan_f64(double x) {
    double a = fabs(x);
    a = a > 1e300 ? 1e300 : a;
    return copysign(tj_arctan_reduced_f64(a, 1.0), x);
}

//@ tj_arctan2_f64 : tj_arctan_reduced_f64
// ? ULP. Both are scaled down where their sum would overflow; 0/0 and inf/inf become ratios with C's angle.
TJ_MATH double tj_arctan2_f64(double y, double x) {
    double a = fabs(y), b = fabs(x);
    double s = a > 0x1p1000 || b > 0x1p1000 ? 0x1p-60 : 1.0;
    int same = a == b;
    int nothing = same & (a == 0.0), everything = same & (a == INFINITY);
    a = everything ? 1.0 : a * s;
    b = everything || nothing ? 1.0 : b * s;
    double t = tj_arctan_reduced_f64(a, b);
    // the sign bit of x, not its value: atan2(0, -0) is pi
    int left = (int64_t)tj_bits_f64(x) < 0;
    t = left ? 3.141592653589793 - (t - 1.2246467991473532e-16) : t;
    t = x != x ? x : t;
    return copysign(t, y);
}

//@ tj_erf_f64 : tj_exp_neg_f64
// 1.14 ULP. An odd series up to 1; beyond, 1 - exp(g(x)) with a polynomial g = log(erfc x).
TJ_MATH double tj_erf_f64(double x) {
    double a = fabs(x);
    double z = a * a;
    double w = z * z;
    double small0 = 0.12837916709551256 + w * (0.11283791670942124 + w * (0.00522397760769644
        + w * (0.00012055298765485575 + w * (1.6448666298195144e-06 + w * 1.3765765721776021e-08))));
    double small1 = -0.3761263890318341 + w * (-0.026866170643086825 + w * (-0.0008548326063451824
        + w * (-1.4924826961189339e-05 + w * (-1.6218642793508222e-07 + w * -7.883105486042428e-10))));
    double small = a + a * (small0 + z * small1);
    double b = a > 6.0 ? 6.0 : a;
    double b2 = b * b;
    double g0 = -5.13276533334995e-07 + b2 * (-0.636644056650091 + b2 * (0.01898803372411922
        + b2 * (-0.0019189580910471188 + b2 * (-0.00013656083384283178 + b2 * (2.2531906126663504e-05
        + b2 * (2.114725092505493e-06 + b2 * (4.5931315398865605e-08 + b2 * 2.0202404533450509e-10)))))));
    double g1 = -1.1283739913686268 + b2 * (-0.10270228547551793 + b2 * (0.00041354826209533927
        + b2 * (0.0007730533653271916 + b2 * (-1.9520431168764537e-05 + b2 * (-8.578476304933398e-06
        + b2 * (-3.6955151562374724e-07 + b2 * (-3.889835343363301e-09 + b2 * -4.864829281356325e-12)))))));
    double g = g0 + b * g1;
    double big = 1.0 - tj_exp_neg_f64(g);
    return copysign(a < 1.0 ? small : big, x);
}

//@ tj_exp_clamped_f32 : tj_prelude
// exp on [-104, 89], as tj_exp_clamped_f64.
TJ_MATH float tj_exp_clamped_f32(float x) {
    float t = x * 1.44269502f + 0x1.8p23f;
    uint32_t u = tj_bits_f32(t), h = u >> 1;
    float n = t - 0x1.8p23f;
    float r = (x - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
    float z = r * r;
    float q0 = 0.5f + z * (0.041666206f + z * 0.0013950538f);
    float q1 = 0.16666518f + z * 0.00836889f;
    float q = q0 + r * q1;
    float y = 1.0f + (r + z * q);
    return y * tj_float_f32((h + 127) << 23) * tj_float_f32((u - h + 127) << 23);
}

//@ tj_exp_f32 : tj_exp_clamped_f32
// 1.02 ULP.
TJ_MATH float tj_exp_f32(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    return tj_exp_clamped_f32(x);
}

//@ tj_exp_neg_f32 : tj_exp_clamped_f32
// exp(-|x|).
TJ_MATH float tj_exp_neg_f32(float x) {
    x = -fabsf(x);
    x = x < -104.0f ? -104.0f : x;
    return tj_exp_clamped_f32(x);
}

//@ tj_exp2_f32 : tj_prelude
// 1.12 ULP.
TJ_MATH float tj_exp2_f32(float x) {
    x = x > 129.0f ? 129.0f : x;
    x = x < -151.0f ? -151.0f : x;
    float t = x + 0x1.8p23f;
    uint32_t u = tj_bits_f32(t), h = u >> 1;
    float r = x - (t - 0x1.8p23f);
    float z = r * r;
    float q0 = 0.6931472f + z * (0.05550328f + z * 0.00134003f);
    float q1 = 0.2402265f + z * (0.009618004f + z * 1.5476323e-04f);
    float q = q0 + r * q1;
    float y = 1.0f + r * q;
    return y * tj_float_f32((h + 127) << 23) * tj_float_f32((u - h + 127) << 23);
}

//@ tj_expm1_f32 : tj_prelude
// 1.68 ULP.
TJ_MATH float tj_expm1_f32(float x) {
    float c = x > 89.0f ? 89.0f : x;
    c = c < -25.0f ? -25.0f : c;
    float t = c * 1.44269502f + 0x1.8p23f;
    float n = t - 0x1.8p23f;
    float r = (c - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
    float z = r * r;
    float q0 = 0.5f + z * (0.041666284f + z * 0.0013946366f);
    float q1 = 0.16666543f + z * 0.008366585f;
    float q = q0 + r * q1;
    float p = r + z * q;
    float s = tj_float_f32((tj_bits_f32(t) + 126) << 23);
    float y = 2.0f * (s * p + (s - 0.5f));
    return fabsf(x) < 1e-30f ? x : y;
}

//@ tj_log_series_f32 : tj_prelude
// (log(1 + f) - f + f^2/2) on [sqrt(1/2) - 1, sqrt(2) - 1]; no division, unlike the longer double series.
TJ_MATH float tj_log_series_f32(float f, float z) {
    float p0 = 0.3333331f + z * (0.2000223f + z * (0.14218582f + z * (0.11873379f + z * 0.06916337f)));
    float p1 = -0.24999987f + z * (-0.1666926f + z * (-0.12384134f + z * -0.11791374f));
    float p = p0 + f * p1;
    return f * z * p;
}

//@ tj_log_f32 : tj_log_series_f32
// 0.78 ULP.
TJ_MATH float tj_log_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float z = f * f;
    float s = tj_log_series_f32(f, z) + k * 1.428606765330187e-06f;
    float l = k * 0.693145751953125f + (f + (s - 0.5f * z));
    l = x < INFINITY ? l : x;
    return x > 0.0f ? l : (x == 0.0f ? -INFINITY : NAN);
}

//@ tj_log2_f32 : tj_log_series_f32
// 0.86 ULP. Powers of two are exact.
TJ_MATH float tj_log2_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float z = f * f;
    float hi = tj_float_f32(tj_bits_f32(f - 0.5f * z) & 0xfffff000u);
    float lo = ((f - hi) - 0.5f * z) + tj_log_series_f32(f, z);
    float l = k + (hi * 1.44287109375f + (lo * 1.44269502f + hi * -0.00017605285393074155f));
    l = x < INFINITY ? l : x;
    return x > 0.0f ? l : (x == 0.0f ? -INFINITY : NAN);
}

//@ tj_log10_f32 : tj_log_series_f32
// 0.81 ULP.
TJ_MATH float tj_log10_f32(float x) {
    int small = x < 0x1p-126f;
    float y = small ? x * 0x1p24f : x;
    uint32_t u = tj_bits_f32(y), t = u - 0x3f3504f3u;
    float f = tj_float_f32(u - (t & 0xff800000u)) - 1.0f;
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float z = f * f;
    float hi = tj_float_f32(tj_bits_f32(f - 0.5f * z) & 0xfffff000u);
    float lo = ((f - hi) - 0.5f * z) + tj_log_series_f32(f, z);
    float e = (lo * 0.434294492f + hi * -3.168997136526741e-05f) + k * 4.605039066518657e-06f;
    float l = k * 0.301025390625f + (hi * 0.434326171875f + e);
    l = x < INFINITY ? l : x;
    return x > 0.0f ? l : (x == 0.0f ? -INFINITY : NAN);
}

//@ tj_log1p_f32 : tj_log_series_f32
// 1.34 ULP.
TJ_MATH float tj_log1p_f32(float x) {
    float a = 1.0f + x, v = a - 1.0f;
    float b = (1.0f - (a - v)) + (x - v);
    uint32_t u = tj_bits_f32(a), t = u - 0x3f3504f3u;
    uint32_t e = t & 0xff800000u;
    b = x < 0x1p60f ? b * tj_float_f32(0x3f800000u - e) : 0.0f;
    float f = (tj_float_f32(u - e) - 1.0f) + b;
    float k = (float)((int32_t)t >> 23);
    float z = f * f;
    float s = tj_log_series_f32(f, z) + k * 1.428606765330187e-06f;
    float l = k * 0.693145751953125f + (f + (s - 0.5f * z));
    l = x < INFINITY ? l : x;
    l = x > -1.0f ? l : (x == -1.0f ? -INFINITY : NAN);
    return copysignf(l, x);
}

//@ tj_log1p_unit_f32 : tj_log_series_f32
// log(1 + t) for t in [0, 1].
TJ_MATH float tj_log1p_unit_f32(float t) {
    int big = t > 0.414213562f;
    float f = big ? 0.5f * t - 0.5f : t;
    float z = f * f;
    float s = tj_log_series_f32(f, z) + (big ? 1.428606765330187e-06f : 0.0f);
    return (big ? 0.693145751953125f : 0.0f) + (f + (s - 0.5f * z));
}

//@ tj_softplus_f32 : tj_exp_neg_f32 tj_log1p_unit_f32
// 1.62 ULP.
TJ_MATH float tj_softplus_f32(float x) {
    return (x > 0.0f ? x : 0.0f) + tj_log1p_unit_f32(tj_exp_neg_f32(x));
}

//@ tj_logaddexp_f32 : tj_exp_neg_f32 tj_log1p_unit_f32
// ? ULP.
TJ_MATH float tj_logaddexp_f32(float a, float b) {
    float d = a == b ? 0.0f : a - b;
    return (a > b ? a : b) + tj_log1p_unit_f32(tj_exp_neg_f32(d));
}

//@ tj_log1mexp_f32 : tj_expm1_f32 tj_exp_neg_f32 tj_log_series_f32
// 1.9 ULP.
TJ_MATH float tj_log1mexp_f32(float x) {
    int near = x > -0.693147181f;
    float m = -tj_expm1_f32(x), w = tj_exp_neg_f32(x);
    int small = m < 0x1p-126f;
    float v = 1.0f - w;
    float a = near ? (small ? m * 0x1p24f : m) : v;
    float b = near ? 0.0f : (1.0f - v) - w;
    uint32_t u = tj_bits_f32(a), t = u - 0x3f3504f3u;
    uint32_t e = t & 0xff800000u;
    float f = (tj_float_f32(u - e) - 1.0f) + b * tj_float_f32(0x3f800000u - e);
    float k = (float)((int32_t)t >> 23) - (small ? 24.0f : 0.0f);
    float z = f * f;
    float s = tj_log_series_f32(f, z) + k * 1.428606765330187e-06f;
    float l = k * 0.693145751953125f + (f + (s - 0.5f * z));
    return x < 0.0f ? l : (x == 0.0f ? -INFINITY : NAN);
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
    float t = c * 1.44269502f + 0x1.8p23f;
    float n = t - 0x1.8p23f;
    float r = (c - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
    float z = r * r;
    float q0 = 0.5f + z * (0.041666284f + z * 0.0013946366f);
    float q1 = 0.16666543f + z * 0.008366585f;
    float q = q0 + r * q1;
    float p = r + z * q;
    float s = tj_float_f32((tj_bits_f32(t) + 127) << 23);
    float y = s * p + (s - 1.0f);
    return copysignf(y / (2.0f + y), x);
}

//@ tj_sinh_f32 : tj_prelude
// 1.69 ULP.
TJ_MATH float tj_sinh_f32(float x) {
    float c = fabsf(x);
    c = c > 89.6f ? 89.6f : c;
    float t = c * 1.44269502f + 0x1.8p23f;
    float n = t - 0x1.8p23f;
    float r = (c - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
    float z = r * r;
    float o = r + r * z * (0.16666667f + z * (0.008333175f + z * 1.997405e-04f));
    float e = z * (0.5f + z * (0.04166646f + z * 0.0013935427f));
    float a = tj_float_f32((tj_bits_f32(t) + 125) << 23);
    float b = 0x1p-4f * tj_float_f32(0x7f000000u - tj_bits_f32(a));
    float d = a - b;
    float y = 2.0f * (d + (d * e + (a + b) * o));
    return fabsf(x) < 1e-30f ? x : copysignf(y, x);
}

//@ tj_cosh_f32 : tj_prelude
// 1.69 ULP.
TJ_MATH float tj_cosh_f32(float x) {
    float c = fabsf(x);
    c = c > 89.6f ? 89.6f : c;
    float t = c * 1.44269502f + 0x1.8p23f;
    float n = t - 0x1.8p23f;
    float r = (c - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
    float z = r * r;
    float o = r + r * z * (0.16666667f + z * (0.008333175f + z * 1.997405e-04f));
    float e = z * (0.5f + z * (0.04166646f + z * 0.0013935427f));
    float a = tj_float_f32((tj_bits_f32(t) + 125) << 23);
    float b = 0x1p-4f * tj_float_f32(0x7f000000u - tj_bits_f32(a));
    float d = a + b;
    return 2.0f * (d + (d * e + (a - b) * o));
}

//@ tj_trig_f32 : tj_prelude
#if TJ_HAS_FMA
#define TJ_TRIG_LIMIT_F32 100000.0f
#else
#define TJ_TRIG_LIMIT_F32 10000.0f
#endif
// x - n pi, as tj_minus_pi_f64.
TJ_MATH float tj_minus_pi_f32(float x, float n) {
#if TJ_HAS_FMA
    float r = fmaf(n, -3.1415927410125732f, x);
    r = fmaf(n, 8.742277657347586e-08f, r);
    return fmaf(n, 3.4302490200117637e-15f, r);
#else
    return (((x - n * 3.140625f) - n * 0.0009679794311523438f) - n * -3.2584648579359055e-07f) - n * 5.126688136514179e-12f;
#endif
}
TJ_MATH float tj_sin_reduced_f32(float r) {
    float z = r * r;
    float w = z * z;
    float q0 = -0.16666658f + w * -1.9806842e-04f;
    float q1 = 0.00833303f + w * 2.5994664e-06f;
    float q = q0 + z * q1;
    return r + r * z * q;
}

//@ tj_sin_f32 : tj_trig_f32
// 1.94 ULP.
TJ_MATH float tj_sin_f32(float x) {
    float a = fabsf(x);
    float t = a * 0.318309873f + 0x1.8p23f;
    float y = tj_sin_reduced_f32(tj_minus_pi_f32(a, t - 0x1.8p23f));
    return tj_float_f32(tj_bits_f32(y) ^ (tj_bits_f32(t) << 31) ^ (tj_bits_f32(x) & 0x80000000u));
}

//@ tj_cos_f32 : tj_trig_f32
// 2.05 ULP.
TJ_MATH float tj_cos_f32(float x) {
    float a = fabsf(x);
    float t = (a * 0.318309873f - 0.5f) + 0x1.8p23f;
    float y = tj_sin_reduced_f32(tj_minus_pi_f32(a, (t - 0x1.8p23f) + 0.5f));
    return tj_float_f32(tj_bits_f32(y) ^ ((tj_bits_f32(t) + 1) << 31));
}

//@ tj_tan_f32 : tj_trig_f32
// 2.91 ULP.
TJ_MATH float tj_tan_f32(float x) {
    float a = fabsf(x);
    float t = a * 0.636619747f + 0x1.8p23f;
    float r = tj_minus_pi_f32(a, 0.5f * (t - 0x1.8p23f));
    float z = r * r;
    float w = z * z;
    float y0 = 0.33333075f + w * (0.05324863f + w * 0.0022391009f);
    float y1 = 0.13340834f + w * (0.024993602f + w * 0.009895011f);
    float y = r + r * z * (y0 + z * y1);
    int odd = (tj_bits_f32(t) & 1) != 0;
    y = (odd ? -1.0f : y) / (odd ? y : 1.0f);
    return tj_float_f32(tj_bits_f32(y) ^ (tj_bits_f32(x) & 0x80000000u));
}

//@ tj_arctan_reduced_f32 : tj_prelude
// arctan(y / x) for y, x >= 0, turned by pi/2 where y > x; the series covers all of [-1, 1].
TJ_MATH float tj_arctan_reduced_f32(float y, float x) {
    int high = y > x;
    float q = (high ? -x : y) / (high ? y : x);
    float z = q * q;
    float w = z * z;
    float p0 = -0.33333302f + w * (-0.14265092f + w * (-0.08416455f + w * (-0.031394225f
        + w * -0.0018186654f)));
    float p1 = 0.19998626f + w * (0.10956657f + w * (0.058177907f + w * 0.011028796f));
    float p = p0 + z * p1;
    float s = q * z * p + (high ? -4.37113883e-08f : 0.0f);
    return (high ? 1.57079637f : 0.0f) + (q + s);
}

//@ tj_arctan_f32 : tj_arctan_reduced_f32
// 1.68 ULP.
TJ_MATH float tj_arctan_f32(float x) {
    return copysignf(tj_arctan_reduced_f32(fabsf(x), 1.0f), x);
}

//@ tj_arctan2_f32 : tj_arctan_reduced_f32
// ? ULP.
TJ_MATH float tj_arctan2_f32(float y, float x) {
    float a = fabsf(y), b = fabsf(x);
    int same = a == b;
    int nothing = same & (a == 0.0f), everything = same & (a == INFINITY);
    a = everything ? 1.0f : a;
    b = everything || nothing ? 1.0f : b;
    float t = tj_arctan_reduced_f32(a, b);
    int left = (int32_t)tj_bits_f32(x) < 0;
    t = left ? 3.14159274f - (t + 8.74227766e-08f) : t;
    t = x != x ? x : t;
    return copysignf(t, y);
}

//@ tj_erf_f32 : tj_exp_neg_f32
// 1.49 ULP.
TJ_MATH float tj_erf_f32(float x) {
    float a = fabsf(x);
    float z = a * a;
    float w = z * z;
    float small0 = 0.12837912f + w * (0.11280197f + w * 0.0049180323f);
    float small1 = -0.37612328f + w * (-0.026711762f + w * -5.633203e-04f);
    float small = a + a * (small0 + z * small1);
    float b = a > 4.0f ? 4.0f : a;
    float b2 = b * b;
    float g0 = -3.5377895e-04f + b2 * (-0.6382262f + b2 * (0.021805033f + b2 * 1.8556537e-04f));
    float g1 = -1.1270398f + b2 * (-0.103036836f + b2 * -0.002939529f);
    float g = g0 + b * g1;
    float big = 1.0f - tj_exp_neg_f32(g);
    return copysignf(a < 1.0f ? small : big, x);
}
