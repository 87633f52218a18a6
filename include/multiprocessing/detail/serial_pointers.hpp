/// \file
/// Codecs of the smart pointers. Objects shared within one message stay shared; cycles are refused.
#pragma once

#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <multiprocessing/detail/serial_core.hpp>

namespace mp::serial {

/// \cond internal
template <class T>
    requires(!std::is_array_v<T>)
struct codec<std::unique_ptr<T>> {
    using parts = types<detail::pointee<T>>;
    static void encode(Writer& writer, const std::unique_ptr<T>& pointer) {
        const detail::Nesting nesting(writer);
        detail::put(writer, pointer != nullptr);
        if (pointer) {
            detail::put<std::remove_const_t<T>>(writer, *pointer);
        }
    }
    static std::unique_ptr<T> decode(Reader& reader) {
        const detail::Nesting nesting(reader);
        if (!detail::take<bool>(reader)) {
            return nullptr;
        }
        return std::make_unique<T>(detail::take<std::remove_const_t<T>>(reader));
    }
};

template <class T>
    requires(!std::is_array_v<T>)
struct codec<std::shared_ptr<T>> {
    using U = std::remove_const_t<T>;
    using parts = types<detail::pointee<T>>;
    static void encode(Writer& writer, const std::shared_ptr<T>& pointer) {
        const detail::Nesting nesting(writer);
        if (!pointer) {
            detail::put_count(writer, 0);
            return;
        }
        const auto shared = writer.share(pointer, typeid(U));
        detail::put_count(writer, shared.number);
        if (shared.first) {
            detail::put<U>(writer, *pointer);
            writer.share_done(shared.number);
        }
    }
    static std::shared_ptr<T> decode(Reader& reader) {
        const detail::Nesting nesting(reader);
        const auto shared = reader.shared();
        if (shared.number == 0) {
            return nullptr;
        }
        if (!shared.is_new) {
            return std::static_pointer_cast<U>(reader.find_shared(shared.number, typeid(U)));
        }
        auto pointer = std::make_shared<U>(detail::take<U>(reader));
        reader.keep_shared(shared.number, pointer, typeid(U));
        return pointer;
    }
};

/// As the shared pointer it stands for; what nothing else in the message owns is gone with the reader.
template <class T>
    requires(!std::is_array_v<T>)
struct codec<std::weak_ptr<T>> {
    using parts = types<detail::pointee<T>>;
    static void encode(Writer& writer, const std::weak_ptr<T>& pointer) {
        codec<std::shared_ptr<T>>::encode(writer, pointer.lock());
    }
    static std::weak_ptr<T> decode(Reader& reader) { return codec<std::shared_ptr<T>>::decode(reader); }
};
/// \endcond

}  // namespace mp::serial
