// How names of functions are packed.
#include <algorithm>
#include <cstring>
#include <string>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/detail/serial_functions.hpp>

namespace mp::serial {
namespace {

template <class T>
void put(Writer& writer, const T& value) {
    writer.write(&value, sizeof value);
}

template <class T>
T take(Reader& reader) {
    T value;
    reader.read(&value, sizeof value);
    return value;
}

// Stands beside the size: a memory image, and a number in place of the path.
constexpr std::uint8_t generated = 0x80;

void put_module(Writer& writer, const mp::detail::ModuleId& id) {
    put(writer, static_cast<std::uint8_t>(id.size | (id.generated ? generated : 0)));
    writer.write(id.build_id.data(), std::min<std::size_t>(id.size, id.build_id.size()));
    if (id.generated) return put(writer, id.generated);
    put(writer, static_cast<std::uint64_t>(id.path.size()));
    writer.write(id.path.data(), id.path.size());
}

mp::detail::ModuleId take_module(Reader& reader) {
    mp::detail::ModuleId id;
    const auto size = take<std::uint8_t>(reader);
    id.size = size & ~generated;
    if (id.size > id.build_id.size()) detail::fail_value("a build-id has more than 32 bytes");
    reader.read(id.build_id.data(), id.size);
    if (size & generated) {
        id.generated = take<std::uint64_t>(reader);
        if (id.generated == 0) detail::fail_value("code of a memory image has no number");
        return id;
    }
    const std::size_t length = reader.count();
    id.path.assign(reinterpret_cast<const char*>(reader.view(length)), length);
    return id;
}

}  // namespace

void codec<mp::detail::EntryId>::encode(Writer& writer, const mp::detail::EntryId& id) {
    put_module(writer, id.module);
    put(writer, id.offset);
    put(writer, id.type_hash);
}

mp::detail::EntryId codec<mp::detail::EntryId>::decode(Reader& reader) {
    mp::detail::EntryId id;
    id.module = take_module(reader);
    id.offset = take<std::uint64_t>(reader);
    id.type_hash = take<std::uint64_t>(reader);
    return id;
}

void codec<mp::detail::CodeId>::encode(Writer& writer, const mp::detail::CodeId& id) {
    put_module(writer, id.module);
    put(writer, id.offset);
}

mp::detail::CodeId codec<mp::detail::CodeId>::decode(Reader& reader) {
    mp::detail::CodeId id;
    id.module = take_module(reader);
    id.offset = take<std::uint64_t>(reader);
    return id;
}

}  // namespace mp::serial

namespace mp::detail {
namespace {

// Itanium C++ ABI 2.3: the first word is the address of the function or, for a virtual one, an offset in the vtable,
// which is the same in every process; the second is added to `this`. Which of the two it is, is one bit: of the first word,
// or of the second where code addresses may be odd.
#if defined(__arm__) || defined(__aarch64__) || defined(__mips__) || defined(__loongarch__)
constexpr std::size_t flag_word = 1;
#else
constexpr std::size_t flag_word = 0;
#endif

bool is_virtual(const MemberPointerWords& words) { return (words[flag_word] & 1) != 0; }

}  // namespace

void encode_member_pointer(serial::Writer& writer, const MemberPointerWords& words) {
    const CodeId code = is_virtual(words) ? CodeId() : identify_code(reinterpret_cast<void (*)()>(words[0]));
    const MemberPointerWords rest{is_virtual(words) ? words[0] : 0, words[1]};
    serial::codec<CodeId>::encode(writer, code);
    writer.write(rest.data(), sizeof rest);
}

MemberPointerWords decode_member_pointer(serial::Reader& reader) {
    const CodeId code = serial::codec<CodeId>::decode(reader);
    MemberPointerWords words{};
    reader.read(words.data(), sizeof words);
    if (is_virtual(words)) return words;
    words[0] = reinterpret_cast<std::uintptr_t>(resolve_code(code));
    return words;
}

}  // namespace mp::detail
