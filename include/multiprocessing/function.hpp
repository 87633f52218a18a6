/// \file
/// What can be called in another process: functions, lambdas that capture plain values, function objects that can be
/// serialised, and what mp::bind and mp::trust make.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {
namespace detail {

/// A function with its first arguments; made by mp::bind.
template <class F, class... Args>
class Bound {
  public:
    Bound(F callee, std::tuple<Args...> bound)
        : function_(std::move(callee)), arguments_(std::move(bound)) {}

    /// Passes the bound arguments as lvalues, then `call`. `const`, since what is called is not this object; a function
    /// that changes its bound arguments finds them changed in the next call.
    template <class... Call>
        requires std::is_invocable_v<F&, Args&..., Call...>
    std::invoke_result_t<F&, Args&..., Call...> operator()(Call&&... call) const {
        return std::apply(
            [&](Args&... bound) -> std::invoke_result_t<F&, Args&..., Call...> {
                return std::invoke(function_, bound..., std::forward<Call>(call)...);
            },
            arguments_);
    }

    const F& function() const { return function_; }
    const std::tuple<Args...>& arguments() const { return arguments_; }

  private:
    mutable F function_;
    mutable std::tuple<Args...> arguments_;
};

/// A callable whose captures are not checked; made by mp::trust.
template <class F>
class Trusted {
  public:
    explicit Trusted(const F& function) : function_(function) {}

    template <class... Call>
        requires std::is_invocable_v<F&, Call...>
    std::invoke_result_t<F&, Call...> operator()(Call&&... call) const {
        return std::invoke(function_, std::forward<Call>(call)...);
    }

  private:
    mutable F function_;
};

template <class F>
inline constexpr bool is_type_erased = false;
template <class S>
inline constexpr bool is_type_erased<std::function<S>> = true;
#ifdef __cpp_lib_move_only_function
template <class... S>
inline constexpr bool is_type_erased<std::move_only_function<S...>> = true;
#endif

template <class F>
inline constexpr bool is_trusted = false;
template <class F>
inline constexpr bool is_trusted<Trusted<F>> = true;

/// May be copied as bytes. Not std::is_trivially_copyable: with g++ 12 that turns false for a lambda once anybody, an
/// std::optional for example, has asked whether it can be assigned (it cannot).
template <class F>
concept copies_as_bytes = std::is_trivially_copy_constructible_v<F> && std::is_trivially_move_constructible_v<F> &&
                          std::is_trivially_destructible_v<F>;

/// Holds no pointer, reference, member pointer or union at any depth: making such a type from bytes is no constant
/// expression. As serial::detail::made_of_plain_bytes, but without its limit of size, since what a user captured may be
/// large, and written so that it is false and no error after the question above.
template <class F>
concept captures_plain_bytes = copies_as_bytes<F> && requires {
    typename std::bool_constant<(
        static_cast<void>(__builtin_bit_cast(F, serial::detail::ZeroBytes<sizeof(F)>{})), true)>;
};

/// A lambda with captures, as far as a program can tell: closure types cannot be assigned nor made from nothing. To be
/// asked after captures_plain_bytes, for the reason above.
template <class F>
inline constexpr bool looks_like_a_lambda =
    std::is_class_v<F> && !std::is_aggregate_v<F> && !std::is_default_constructible_v<F> && !std::is_copy_assignable_v<F>;

enum class CallableVerdict {
    by_codec,
    by_bytes,  ///< nothing in it points anywhere
    stateless,
    bound,
    refused_type_erased,
    refused_reference,
    refused_pointer,
    refused_object,
    refused_member,
    refused_bound_function,
    refused_bound_text,
    refused_bound_argument,
    refused_otherwise,  ///< the codec says why
};

template <class F>
consteval CallableVerdict judge_callable();

template <class F>
struct JudgeBound;
template <class F>
inline constexpr bool is_bound = false;
template <class F, class... Args>
inline constexpr bool is_bound<Bound<F, Args...>> = true;
template <class F, class... Args>
struct JudgeBound<Bound<F, Args...>> {
    template <class T>
    static constexpr bool is_text =
        std::is_pointer_v<T> && std::is_same_v<std::remove_cv_t<std::remove_pointer_t<T>>, char>;

    static consteval CallableVerdict verdict() {
        if constexpr (judge_callable<F>() > CallableVerdict::bound) {
            return CallableVerdict::refused_bound_function;
        } else if constexpr ((is_text<Args> || ...)) {
            return CallableVerdict::refused_bound_text;
        } else if constexpr (!(serial::serializable<Args> && ...)) {
            return CallableVerdict::refused_bound_argument;
        } else {
            return CallableVerdict::bound;
        }
    }
};

template <class F>
concept packs_itself = serial::detail::has_codec<F> || serial::detail::has_archive<F>;

template <class F>
consteval CallableVerdict judge_callable() {
    if constexpr (is_bound<F>) {
        return JudgeBound<F>::verdict();
    } else if constexpr (is_trusted<F>) {
        return CallableVerdict::by_bytes;
    } else if constexpr (is_type_erased<F>) {
        return CallableVerdict::refused_type_erased;
    } else if constexpr (std::is_member_object_pointer_v<F>) {
        return CallableVerdict::refused_member;
    } else if constexpr (packs_itself<F>) {
        return serial::serializable<F> ? CallableVerdict::by_codec : CallableVerdict::refused_otherwise;
    } else if constexpr (std::is_empty_v<F> && copies_as_bytes<F>) {
        return CallableVerdict::stateless;
    } else if constexpr (std::is_class_v<F> && !std::is_aggregate_v<F> && captures_plain_bytes<F>) {
        return CallableVerdict::by_bytes;
    } else if constexpr (serial::serializable<F>) {
        return CallableVerdict::by_codec;
    } else if constexpr (!looks_like_a_lambda<F>) {
        return CallableVerdict::refused_otherwise;
    } else if constexpr (!copies_as_bytes<F>) {
        return CallableVerdict::refused_object;
    } else if constexpr (!std::is_standard_layout_v<F>) {
        return CallableVerdict::refused_reference;
    } else {
        return CallableVerdict::refused_pointer;
    }
}

/// Instantiated for what is refused: the compiler's first error is the sentence.
template <class F, CallableVerdict V = judge_callable<F>()>
struct ExplainCallable {
    static constexpr bool value = true;
};

#define MP_EXPLAIN(verdict, sentence)                                       \
    template <class F>                                                      \
    struct ExplainCallable<F, CallableVerdict::verdict> {                   \
        static_assert(!std::is_same_v<F, F>, "multiprocessing: " sentence); \
        static constexpr bool value = false;                                \
    }

MP_EXPLAIN(refused_type_erased,
           "a std::function hides what it holds, so it cannot be sent to a worker; pass the function or the lambda "
           "itself");
MP_EXPLAIN(refused_reference,
           "this lambda captures by reference, but a worker does not share the caller's memory; capture plain values by "
           "copy, bind objects with mp::bind(f, args...), or use mp::snapshot_map(f, range), whose workers see a "
           "snapshot of everything");
MP_EXPLAIN(refused_pointer,
           "this lambda captures a pointer or `this`, which means nothing in another process; capture the value itself "
           "(or [*this]), bind objects with mp::bind(f, args...), use mp::snapshot_map(f, range), or pass a false alarm "
           "with mp::trust(f)");
MP_EXPLAIN(refused_object,
           "this lambda captures an object that is more than its bytes, such as a std::string or std::vector; make it "
           "the first parameter and bind it with mp::bind(f, args...), which sends it once per worker, or use "
           "mp::snapshot_map(f, range)");
MP_EXPLAIN(refused_member, "a pointer to a data member cannot be sent to a worker; write a lambda that reads the member");
MP_EXPLAIN(refused_bound_text,
           "mp::bind was given a string literal or char pointer, which means nothing in another process; write "
           "std::string(\"...\")");

#undef MP_EXPLAIN

template <class F, class... Args>
struct ExplainCallable<Bound<F, Args...>, CallableVerdict::refused_bound_function> : ExplainCallable<F> {};

template <class F, class... Args>
struct ExplainCallable<Bound<F, Args...>, CallableVerdict::refused_bound_argument> {
    static constexpr bool value = (serial::detail::explain<serial::detail::verdict<Args>>::value && ...);
};
template <class F>
struct ExplainCallable<F, CallableVerdict::refused_otherwise> : serial::detail::explain<serial::detail::verdict<F>> {};

}  // namespace detail

/// F can be called in another process: a function or member function pointer, a lambda without captures or with plain
/// values by copy, a function object that can be serialised, or what mp::bind and mp::trust return.
template <class F>
concept portable_callable = detail::judge_callable<std::decay_t<F>>() <= detail::CallableVerdict::bound;

/// Does nothing for a portable_callable; for any other F it is a compile-time error whose first line says in one
/// sentence what is wrong and what to do.
template <class F>
constexpr void check_callable() {
    static_cast<void>(detail::ExplainCallable<std::decay_t<F>>::value);
}

/// `f` with its first arguments, for objects that a lambda may not capture: `pool.map(mp::bind(search, text), range)`
/// calls `search(text, element)`. Copies or moves `f` and the arguments in. A pool serialises them once per worker; each
/// call gets them as lvalues, uncopied, so that a parameter may be `const std::string&` or `mp::Queue<int>&`.
template <class F, class... Args>
auto bind(F&& f, Args&&... args) {
    return detail::Bound<std::decay_t<F>, std::decay_t<Args>...>(
        std::forward<F>(f), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...));
}

/// Passes a false alarm of the capture check: `f` is sent as its bytes, whatever they point to. Right for a pointer
/// that the worker only compares or ignores; a pointer that it follows leads nowhere, or to something else.
template <class F>
auto trust(F&& f) {
    using Plain = std::decay_t<F>;
    static_assert(detail::copies_as_bytes<Plain>,
                  "multiprocessing: mp::trust(f) sends f as its bytes, but f holds an object that is more than its bytes; "
                  "bind that with mp::bind(f, args...)");
    return detail::Trusted<Plain>(f);
}

namespace detail {

/// What a task is called with: values, text literals as strings.
template <class T>
using task_argument = std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>,
                                         std::string, std::decay_t<T>>;

/// Appends what the worker needs besides the entry record, which says the type: captures, members, bound arguments.
template <class F>
void encode_callable([[maybe_unused]] serial::Writer& writer, [[maybe_unused]] const F& f) {
    constexpr CallableVerdict verdict = judge_callable<F>();
    if constexpr (verdict == CallableVerdict::by_bytes) {
        writer.write(&f, sizeof f);
    } else if constexpr (verdict == CallableVerdict::by_codec) {
        serial::encode(writer, f);
    } else if constexpr (verdict == CallableVerdict::bound) {
        encode_callable(writer, f.function());
        std::apply([&](const auto&... arguments) { (serial::encode(writer, arguments), ...); }, f.arguments());
    } else if constexpr (verdict != CallableVerdict::stateless) {
        check_callable<F>();
    }
}

template <class F>
F decode_callable(serial::Reader& reader);

template <class F>
struct DecodeBound;
template <class F, class... Args>
struct DecodeBound<Bound<F, Args...>> {
    static Bound<F, Args...> decode(serial::Reader& reader) {
        // Braces: in order.
        return {decode_callable<F>(reader), std::tuple<Args...>{serial::decode<Args>(reader)...}};
    }
};

/// The reverse. Throws SerializationError, and mp::Error for a function that this process does not have.
template <class F>
F decode_callable([[maybe_unused]] serial::Reader& reader) {
    constexpr CallableVerdict verdict = judge_callable<F>();
    if constexpr (verdict == CallableVerdict::by_bytes || verdict == CallableVerdict::stateless) {
        serial::detail::Slot<F> slot;
        if constexpr (verdict == CallableVerdict::by_bytes) reader.read(static_cast<void*>(&slot.value), sizeof(F));
        return std::move(slot.value);
    } else if constexpr (verdict == CallableVerdict::by_codec) {
        return serial::decode<F>(reader);
    } else if constexpr (verdict == CallableVerdict::bound) {
        return DecodeBound<F>::decode(reader);
    } else {
        check_callable<F>();
        __builtin_unreachable();
    }
}

/// A function object seen as a value: what bind made may be bound, be a member, or be put into a queue.
template <class F>
struct CallableCodec {
    static void encode(serial::Writer& writer, const F& f) { encode_callable(writer, f); }
    static F decode(serial::Reader& reader) { return decode_callable<F>(reader); }
};

}  // namespace detail

namespace serial {
/// \cond internal
template <class F, class... Args>
    requires portable_callable<mp::detail::Bound<F, Args...>>
struct codec<mp::detail::Bound<F, Args...>> : mp::detail::CallableCodec<mp::detail::Bound<F, Args...>> {};
template <class F>
struct codec<mp::detail::Trusted<F>> : mp::detail::CallableCodec<mp::detail::Trusted<F>> {};
/// \endcond
}  // namespace serial

}  // namespace mp
