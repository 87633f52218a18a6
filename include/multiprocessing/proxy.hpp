/// \file
/// Proxy: an object that lives in a manager's server, used from anywhere.
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/managed_call.hpp>

namespace mp {

/// Stands for an object of class T in the server of a Manager. Copies are cheap and stand for the same object, which
/// lives as long as any of them, in any process, or the server's own containers. A proxy can be an argument, a task's
/// captured or returned value, a message, an element of a managed container: the other process connects by itself.
/// Whoever sends a proxy should keep it until the other side has it.
///
/// Calls from all processes are made one after the other, each in the calling client's own thread of the server; a
/// class with `static constexpr bool is_thread_safe = true;` is called by several at once. A slow or blocked call holds
/// up only calls of the same object. What a call throws arrives as in a pool: as its own type and as RemoteError. Every
/// call throws Closed when the server is gone. Any thread.
template <class T>
class Proxy : public detail::BasicProxy {
  public:
    using element_type = T;

    /// `counter.call<&Counter::add>(3)`: calls the member function there. Arguments and result are copies.
    template <auto Method, class... Args>
    auto call(const Args&... args) const {
        using Traits = detail::MemberTraits<decltype(Method)>;
        static_assert(std::is_constructible_v<typename Traits::Arguments, const Args&...>,
                      "multiprocessing: these are not the arguments that the member function takes");
        serial::Writer writer;
        writer.set_leaves_machine(detail::leaves_machine(state()));
        serial::encode(writer, typename Traits::Arguments(args...));
        return this->template send<typename Traits::Result, &detail::run_method<T, Method>, T,
                                   std::integral_constant<decltype(Method), Method>>(writer);
    }

    /// Calls `function(object, args...)` there, as one step: no other call of the object comes between (unless T is
    /// thread-safe). The function is what a pool could run; it takes the object by reference.
    template <class F, class... Args>
    auto apply(const F& function, const Args&... args) const {
        using Function = std::decay_t<const F&>;
        check_callable<Function>();
        using Result = std::remove_cvref_t<std::invoke_result_t<Function&, T&, std::decay_t<Args>...>>;
        serial::Writer writer;
        writer.set_leaves_machine(detail::leaves_machine(state()));
        detail::encode_callable<Function>(writer, function);
        serial::encode(writer, std::tuple<std::decay_t<Args>...>(args...));
        return this->template send<Result, &detail::run_function<T, Function, std::decay_t<Args>...>, T, Function,
                                   std::decay_t<Args>...>(writer);
    }

    /// \cond internal
    explicit Proxy(std::shared_ptr<detail::ProxyState> state) : BasicProxy(std::move(state)) {}
    explicit Proxy(serial::Reader& reader) : BasicProxy(reader) {}
    /// \endcond
};

/// \cond internal
template <class P>
struct serial::codec<P, std::enable_if_t<std::is_base_of_v<detail::BasicProxy, P>>> {
    static void encode(Writer& writer, const P& proxy) { proxy.internal_encode(writer); }
    static P decode(Reader& reader) { return P(reader); }
};
/// \endcond

}  // namespace mp
