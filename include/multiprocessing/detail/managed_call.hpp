/// \file
/// How a proxy calls its referent in a manager's server: the code that the user's types instantiate behind one
/// signature, and the one compiled function that carries bytes there and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::detail {

/// A referent that wants to know when a client died, to free what that held.
class MP_EXPORT ClientWatcher {
  public:
    ClientWatcher() = default;
    ClientWatcher(const ClientWatcher&) = delete;
    ClientWatcher& operator=(const ClientWatcher&) = delete;
    virtual ~ClientWatcher();
    /// Called by any thread of the server, once for each client, after no call of that client begins any more.
    virtual void client_died(std::uint64_t client) noexcept = 0;
};

/// An object that a server holds for proxies.
struct Referent {
    std::shared_ptr<void> object;
    std::uint64_t type = 0;            ///< hash_types<T>()
    ClientWatcher* watcher = nullptr;  ///< part of object
    bool one_by_one = true;            ///< calls are made one after the other
};

/// One call, as the server makes it.
struct ManagedCall {
    serial::Reader& in;        ///< arguments
    serial::Writer& out;       ///< result
    const Referent* referent;  ///< null for one that makes an object
    Referent made;             ///< by a call that makes an object
};

struct ManagedEntry {
    using Signature = void(ManagedCall& call);
    static constexpr std::string_view name = "managed";
};

[[noreturn]] MP_EXPORT void throw_wrong_referent();

template <class T>
T& referent(ManagedCall& call) {
    if (!call.referent || call.referent->type != hash_types<T>()) throw_wrong_referent();
    return *static_cast<T*>(call.referent->object.get());
}

/// Whether T's own members keep threads apart: then several clients' calls run at once.
template <class T>
inline constexpr bool is_thread_safe = requires { requires T::is_thread_safe; };

template <class T, class... Args>
Referent make_referent(Args&&... args) {
    auto object = std::make_shared<T>(std::forward<Args>(args)...);
    Referent made{object, hash_types<T>(), nullptr, !is_thread_safe<T>};
    if constexpr (std::is_base_of_v<ClientWatcher, T>) made.watcher = object.get();
    return made;
}

template <class M>
struct MemberTraits;
#define MP_MEMBER_TRAITS(suffix)                             \
    template <class R, class C, class... Args>               \
    struct MemberTraits<R (C::*)(Args...) suffix> {          \
        using Result = std::remove_cvref_t<R>;               \
        using Arguments = std::tuple<std::decay_t<Args>...>; \
    }
MP_MEMBER_TRAITS();
MP_MEMBER_TRAITS(const);
MP_MEMBER_TRAITS(noexcept);
MP_MEMBER_TRAITS(const noexcept);
MP_MEMBER_TRAITS(&);
MP_MEMBER_TRAITS(const&);
#undef MP_MEMBER_TRAITS

template <class T, class... Args>
void run_make(ManagedCall& call) {
    auto arguments = serial::decode<std::tuple<Args...>>(call.in);
    call.in.finish();
    call.made = std::apply([](auto&&... args) { return make_referent<T>(std::move(args)...); }, std::move(arguments));
}

template <class F>
void run_and_encode(ManagedCall& call, F&& run) {
    if constexpr (std::is_void_v<decltype(run())>) {
        run();
    } else {
        const std::remove_cvref_t<decltype(run())> result = run();
        serial::encode(call.out, result);
    }
}

/// `object.Method(arguments...)`
template <class T, auto Method>
void run_method(ManagedCall& call) {
    T& object = referent<T>(call);
    auto arguments = serial::decode<typename MemberTraits<decltype(Method)>::Arguments>(call.in);
    call.in.finish();
    run_and_encode(call, [&]() -> decltype(auto) {
        return std::apply([&](auto&&... args) -> decltype(auto) { return (object.*Method)(std::move(args)...); },
                          std::move(arguments));
    });
}

/// `function(object, arguments...)`
template <class T, class F, class... Args>
void run_function(ManagedCall& call) {
    T& object = referent<T>(call);
    F function = decode_callable<F>(call.in);
    auto arguments = serial::decode<std::tuple<Args...>>(call.in);
    call.in.finish();
    run_and_encode(call, [&]() -> decltype(auto) {
        return std::apply(
            [&](auto&&... args) -> decltype(auto) { return std::invoke(function, object, std::move(args)...); },
            std::move(arguments));
    });
}

/// A function as an argument of a call.
template <class F>
struct Carried {
    F function;
};
template <class F>
Carried<std::decay_t<const F&>> carry(const F& function) {
    check_callable<std::decay_t<const F&>>();
    return {function};
}

class ManagerLink;
struct ProxyState;

struct ManagedReply {
    std::vector<std::byte> bytes;
    std::vector<serial::Handle> handles;
};

/// Calls `entry` on the referent and waits for the result. Throws what the call threw there, as remote<T>, and Closed
/// when the server is gone.
MP_EXPORT ManagedReply managed_call(const std::shared_ptr<ProxyState>& proxy, const EntryRecord& entry,
                                    const serial::Writer& arguments);
/// Makes an object in the server.
MP_EXPORT std::shared_ptr<ProxyState> managed_make(const std::shared_ptr<ManagerLink>& link, const EntryRecord& entry,
                                                   const serial::Writer& arguments);
/// Whether what is sent there leaves this machine.
MP_EXPORT bool leaves_machine(const ProxyState& proxy) noexcept;
MP_EXPORT bool leaves_machine(const ManagerLink& link) noexcept;

template <class T, class... Args>
std::shared_ptr<ProxyState> managed_make_object(const std::shared_ptr<ManagerLink>& link, const Args&... args) {
    serial::Writer writer;
    writer.set_leaves_machine(leaves_machine(*link));
    (serial::encode(writer, args), ...);
    return managed_make(link, entry_record<ManagedEntry, &run_make<T, Args...>, T, Args...>, writer);
}

/// What all proxies are.
class MP_EXPORT BasicProxy {
  public:
    /// Whether both stand for the same object.
    friend bool operator==(const BasicProxy& a, const BasicProxy& b) noexcept { return a.is_same(b); }

    /// \cond internal
    void internal_encode(serial::Writer& writer) const;
    /// \endcond

  protected:
    explicit BasicProxy(std::shared_ptr<ProxyState> state) : state_(std::move(state)) {}
    explicit BasicProxy(serial::Reader& reader);

    bool is_same(const BasicProxy& other) const noexcept;
    const ProxyState& state() const { return *state_; }

    template <class R, ManagedEntry::Signature* Code, class... Types>
    R send(const serial::Writer& writer) const {
        const ManagedReply reply = managed_call(state_, entry_record<ManagedEntry, Code, Types...>, writer);
        if constexpr (!std::is_void_v<R>) {
            serial::Reader reader(reply.bytes, reply.handles);
            R result = serial::decode<R>(reader);
            reader.finish();
            return result;
        }
    }

  private:
    std::shared_ptr<ProxyState> state_;
};

}  // namespace mp::detail

/// \cond internal
template <class F>
struct mp::serial::codec<mp::detail::Carried<F>> {
    static void encode(Writer& writer, const mp::detail::Carried<F>& carried) {
        mp::detail::encode_callable<F>(writer, carried.function);
    }
    static mp::detail::Carried<F> decode(Reader& reader) { return {mp::detail::decode_callable<F>(reader)}; }
};
/// \endcond
