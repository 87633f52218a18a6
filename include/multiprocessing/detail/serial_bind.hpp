/// \file
/// Structured bindings of a known number of members. The language has no packs of bindings before C++26, hence the
/// lists.
#pragma once

#include <cstddef>

namespace mp::serial {

/// A list of types; as `codec<X>::parts` it names the types that X consists of and that must be serialisable too.
template <class... Ts>
struct types {};

namespace detail {

inline constexpr std::size_t max_members = 64;

// clang-format off
#define MP_NAMES_1 m1
#define MP_TYPES_1 decltype(m1)
#define MP_NAMES_2 MP_NAMES_1, m2
#define MP_TYPES_2 MP_TYPES_1, decltype(m2)
#define MP_NAMES_3 MP_NAMES_2, m3
#define MP_TYPES_3 MP_TYPES_2, decltype(m3)
#define MP_NAMES_4 MP_NAMES_3, m4
#define MP_TYPES_4 MP_TYPES_3, decltype(m4)
#define MP_NAMES_5 MP_NAMES_4, m5
#define MP_TYPES_5 MP_TYPES_4, decltype(m5)
#define MP_NAMES_6 MP_NAMES_5, m6
#define MP_TYPES_6 MP_TYPES_5, decltype(m6)
#define MP_NAMES_7 MP_NAMES_6, m7
#define MP_TYPES_7 MP_TYPES_6, decltype(m7)
#define MP_NAMES_8 MP_NAMES_7, m8
#define MP_TYPES_8 MP_TYPES_7, decltype(m8)
#define MP_NAMES_9 MP_NAMES_8, m9
#define MP_TYPES_9 MP_TYPES_8, decltype(m9)
#define MP_NAMES_10 MP_NAMES_9, m10
#define MP_TYPES_10 MP_TYPES_9, decltype(m10)
#define MP_NAMES_11 MP_NAMES_10, m11
#define MP_TYPES_11 MP_TYPES_10, decltype(m11)
#define MP_NAMES_12 MP_NAMES_11, m12
#define MP_TYPES_12 MP_TYPES_11, decltype(m12)
#define MP_NAMES_13 MP_NAMES_12, m13
#define MP_TYPES_13 MP_TYPES_12, decltype(m13)
#define MP_NAMES_14 MP_NAMES_13, m14
#define MP_TYPES_14 MP_TYPES_13, decltype(m14)
#define MP_NAMES_15 MP_NAMES_14, m15
#define MP_TYPES_15 MP_TYPES_14, decltype(m15)
#define MP_NAMES_16 MP_NAMES_15, m16
#define MP_TYPES_16 MP_TYPES_15, decltype(m16)
#define MP_NAMES_17 MP_NAMES_16, m17
#define MP_TYPES_17 MP_TYPES_16, decltype(m17)
#define MP_NAMES_18 MP_NAMES_17, m18
#define MP_TYPES_18 MP_TYPES_17, decltype(m18)
#define MP_NAMES_19 MP_NAMES_18, m19
#define MP_TYPES_19 MP_TYPES_18, decltype(m19)
#define MP_NAMES_20 MP_NAMES_19, m20
#define MP_TYPES_20 MP_TYPES_19, decltype(m20)
#define MP_NAMES_21 MP_NAMES_20, m21
#define MP_TYPES_21 MP_TYPES_20, decltype(m21)
#define MP_NAMES_22 MP_NAMES_21, m22
#define MP_TYPES_22 MP_TYPES_21, decltype(m22)
#define MP_NAMES_23 MP_NAMES_22, m23
#define MP_TYPES_23 MP_TYPES_22, decltype(m23)
#define MP_NAMES_24 MP_NAMES_23, m24
#define MP_TYPES_24 MP_TYPES_23, decltype(m24)
#define MP_NAMES_25 MP_NAMES_24, m25
#define MP_TYPES_25 MP_TYPES_24, decltype(m25)
#define MP_NAMES_26 MP_NAMES_25, m26
#define MP_TYPES_26 MP_TYPES_25, decltype(m26)
#define MP_NAMES_27 MP_NAMES_26, m27
#define MP_TYPES_27 MP_TYPES_26, decltype(m27)
#define MP_NAMES_28 MP_NAMES_27, m28
#define MP_TYPES_28 MP_TYPES_27, decltype(m28)
#define MP_NAMES_29 MP_NAMES_28, m29
#define MP_TYPES_29 MP_TYPES_28, decltype(m29)
#define MP_NAMES_30 MP_NAMES_29, m30
#define MP_TYPES_30 MP_TYPES_29, decltype(m30)
#define MP_NAMES_31 MP_NAMES_30, m31
#define MP_TYPES_31 MP_TYPES_30, decltype(m31)
#define MP_NAMES_32 MP_NAMES_31, m32
#define MP_TYPES_32 MP_TYPES_31, decltype(m32)
#define MP_NAMES_33 MP_NAMES_32, m33
#define MP_TYPES_33 MP_TYPES_32, decltype(m33)
#define MP_NAMES_34 MP_NAMES_33, m34
#define MP_TYPES_34 MP_TYPES_33, decltype(m34)
#define MP_NAMES_35 MP_NAMES_34, m35
#define MP_TYPES_35 MP_TYPES_34, decltype(m35)
#define MP_NAMES_36 MP_NAMES_35, m36
#define MP_TYPES_36 MP_TYPES_35, decltype(m36)
#define MP_NAMES_37 MP_NAMES_36, m37
#define MP_TYPES_37 MP_TYPES_36, decltype(m37)
#define MP_NAMES_38 MP_NAMES_37, m38
#define MP_TYPES_38 MP_TYPES_37, decltype(m38)
#define MP_NAMES_39 MP_NAMES_38, m39
#define MP_TYPES_39 MP_TYPES_38, decltype(m39)
#define MP_NAMES_40 MP_NAMES_39, m40
#define MP_TYPES_40 MP_TYPES_39, decltype(m40)
#define MP_NAMES_41 MP_NAMES_40, m41
#define MP_TYPES_41 MP_TYPES_40, decltype(m41)
#define MP_NAMES_42 MP_NAMES_41, m42
#define MP_TYPES_42 MP_TYPES_41, decltype(m42)
#define MP_NAMES_43 MP_NAMES_42, m43
#define MP_TYPES_43 MP_TYPES_42, decltype(m43)
#define MP_NAMES_44 MP_NAMES_43, m44
#define MP_TYPES_44 MP_TYPES_43, decltype(m44)
#define MP_NAMES_45 MP_NAMES_44, m45
#define MP_TYPES_45 MP_TYPES_44, decltype(m45)
#define MP_NAMES_46 MP_NAMES_45, m46
#define MP_TYPES_46 MP_TYPES_45, decltype(m46)
#define MP_NAMES_47 MP_NAMES_46, m47
#define MP_TYPES_47 MP_TYPES_46, decltype(m47)
#define MP_NAMES_48 MP_NAMES_47, m48
#define MP_TYPES_48 MP_TYPES_47, decltype(m48)
#define MP_NAMES_49 MP_NAMES_48, m49
#define MP_TYPES_49 MP_TYPES_48, decltype(m49)
#define MP_NAMES_50 MP_NAMES_49, m50
#define MP_TYPES_50 MP_TYPES_49, decltype(m50)
#define MP_NAMES_51 MP_NAMES_50, m51
#define MP_TYPES_51 MP_TYPES_50, decltype(m51)
#define MP_NAMES_52 MP_NAMES_51, m52
#define MP_TYPES_52 MP_TYPES_51, decltype(m52)
#define MP_NAMES_53 MP_NAMES_52, m53
#define MP_TYPES_53 MP_TYPES_52, decltype(m53)
#define MP_NAMES_54 MP_NAMES_53, m54
#define MP_TYPES_54 MP_TYPES_53, decltype(m54)
#define MP_NAMES_55 MP_NAMES_54, m55
#define MP_TYPES_55 MP_TYPES_54, decltype(m55)
#define MP_NAMES_56 MP_NAMES_55, m56
#define MP_TYPES_56 MP_TYPES_55, decltype(m56)
#define MP_NAMES_57 MP_NAMES_56, m57
#define MP_TYPES_57 MP_TYPES_56, decltype(m57)
#define MP_NAMES_58 MP_NAMES_57, m58
#define MP_TYPES_58 MP_TYPES_57, decltype(m58)
#define MP_NAMES_59 MP_NAMES_58, m59
#define MP_TYPES_59 MP_TYPES_58, decltype(m59)
#define MP_NAMES_60 MP_NAMES_59, m60
#define MP_TYPES_60 MP_TYPES_59, decltype(m60)
#define MP_NAMES_61 MP_NAMES_60, m61
#define MP_TYPES_61 MP_TYPES_60, decltype(m61)
#define MP_NAMES_62 MP_NAMES_61, m62
#define MP_TYPES_62 MP_TYPES_61, decltype(m62)
#define MP_NAMES_63 MP_NAMES_62, m63
#define MP_TYPES_63 MP_TYPES_62, decltype(m63)
#define MP_NAMES_64 MP_NAMES_63, m64
#define MP_TYPES_64 MP_TYPES_63, decltype(m64)
#define MP_ALL_COUNTS(X) \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) \
    X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) \
    X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46) X(47) X(48) \
    X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56) X(57) X(58) X(59) X(60) X(61) X(62) X(63) X(64)
// clang-format on

/// Calls `f` with the members of an aggregate that has `N` of them.
template <std::size_t N, class T, class F>
constexpr decltype(auto) bind_members([[maybe_unused]] T& object, F&& f) {
#define MP_BIND(n)                     \
    else if constexpr (N == n) {       \
        auto& [MP_NAMES_##n] = object; \
        return f(MP_NAMES_##n);        \
    }
    if constexpr (N == 0) {
        return f();
    }
    MP_ALL_COUNTS(MP_BIND)
#undef MP_BIND
}

/// The declared types of the members, references among them.
template <std::size_t N, class T>
constexpr auto bind_types([[maybe_unused]] T& object) {
#define MP_BIND(n)                                      \
    else if constexpr (N == n) {                        \
        [[maybe_unused]] auto& [MP_NAMES_##n] = object; \
        return types<MP_TYPES_##n>{};                   \
    }
    if constexpr (N == 0) {
        return types<>{};
    }
    MP_ALL_COUNTS(MP_BIND)
#undef MP_BIND
}

#undef MP_ALL_COUNTS
#undef MP_NAMES_1
#undef MP_TYPES_1
#undef MP_NAMES_2
#undef MP_TYPES_2
#undef MP_NAMES_3
#undef MP_TYPES_3
#undef MP_NAMES_4
#undef MP_TYPES_4
#undef MP_NAMES_5
#undef MP_TYPES_5
#undef MP_NAMES_6
#undef MP_TYPES_6
#undef MP_NAMES_7
#undef MP_TYPES_7
#undef MP_NAMES_8
#undef MP_TYPES_8
#undef MP_NAMES_9
#undef MP_TYPES_9
#undef MP_NAMES_10
#undef MP_TYPES_10
#undef MP_NAMES_11
#undef MP_TYPES_11
#undef MP_NAMES_12
#undef MP_TYPES_12
#undef MP_NAMES_13
#undef MP_TYPES_13
#undef MP_NAMES_14
#undef MP_TYPES_14
#undef MP_NAMES_15
#undef MP_TYPES_15
#undef MP_NAMES_16
#undef MP_TYPES_16
#undef MP_NAMES_17
#undef MP_TYPES_17
#undef MP_NAMES_18
#undef MP_TYPES_18
#undef MP_NAMES_19
#undef MP_TYPES_19
#undef MP_NAMES_20
#undef MP_TYPES_20
#undef MP_NAMES_21
#undef MP_TYPES_21
#undef MP_NAMES_22
#undef MP_TYPES_22
#undef MP_NAMES_23
#undef MP_TYPES_23
#undef MP_NAMES_24
#undef MP_TYPES_24
#undef MP_NAMES_25
#undef MP_TYPES_25
#undef MP_NAMES_26
#undef MP_TYPES_26
#undef MP_NAMES_27
#undef MP_TYPES_27
#undef MP_NAMES_28
#undef MP_TYPES_28
#undef MP_NAMES_29
#undef MP_TYPES_29
#undef MP_NAMES_30
#undef MP_TYPES_30
#undef MP_NAMES_31
#undef MP_TYPES_31
#undef MP_NAMES_32
#undef MP_TYPES_32
#undef MP_NAMES_33
#undef MP_TYPES_33
#undef MP_NAMES_34
#undef MP_TYPES_34
#undef MP_NAMES_35
#undef MP_TYPES_35
#undef MP_NAMES_36
#undef MP_TYPES_36
#undef MP_NAMES_37
#undef MP_TYPES_37
#undef MP_NAMES_38
#undef MP_TYPES_38
#undef MP_NAMES_39
#undef MP_TYPES_39
#undef MP_NAMES_40
#undef MP_TYPES_40
#undef MP_NAMES_41
#undef MP_TYPES_41
#undef MP_NAMES_42
#undef MP_TYPES_42
#undef MP_NAMES_43
#undef MP_TYPES_43
#undef MP_NAMES_44
#undef MP_TYPES_44
#undef MP_NAMES_45
#undef MP_TYPES_45
#undef MP_NAMES_46
#undef MP_TYPES_46
#undef MP_NAMES_47
#undef MP_TYPES_47
#undef MP_NAMES_48
#undef MP_TYPES_48
#undef MP_NAMES_49
#undef MP_TYPES_49
#undef MP_NAMES_50
#undef MP_TYPES_50
#undef MP_NAMES_51
#undef MP_TYPES_51
#undef MP_NAMES_52
#undef MP_TYPES_52
#undef MP_NAMES_53
#undef MP_TYPES_53
#undef MP_NAMES_54
#undef MP_TYPES_54
#undef MP_NAMES_55
#undef MP_TYPES_55
#undef MP_NAMES_56
#undef MP_TYPES_56
#undef MP_NAMES_57
#undef MP_TYPES_57
#undef MP_NAMES_58
#undef MP_TYPES_58
#undef MP_NAMES_59
#undef MP_TYPES_59
#undef MP_NAMES_60
#undef MP_TYPES_60
#undef MP_NAMES_61
#undef MP_TYPES_61
#undef MP_NAMES_62
#undef MP_TYPES_62
#undef MP_NAMES_63
#undef MP_TYPES_63
#undef MP_NAMES_64
#undef MP_TYPES_64

}  // namespace detail
}  // namespace mp::serial
