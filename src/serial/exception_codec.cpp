#include <span>

#include <multiprocessing/serialize.hpp>

#include "serial/exception_record.hpp"

namespace mp::serial {

std::vector<std::byte> encode_exception(const ExceptionRecord& record) {
    Writer writer;
    encode(writer, record);
    return {writer.bytes().begin(), writer.bytes().end()};
}

ExceptionRecord decode_exception(std::span<const std::byte> bytes) {
    Reader reader(bytes);
    ExceptionRecord record = decode<ExceptionRecord>(reader);
    reader.finish();
    if (record.levels.empty()) throw SerializationError("cannot read a message: a record of an exception without one");
    return record;
}

}  // namespace mp::serial
