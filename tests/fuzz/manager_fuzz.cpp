// Requests to a manager's server: heads, names of entries, proxies, and the arguments of known entries, from arbitrary
// bytes.
#include "manager/server.hpp"

#include <cstddef>
#include <cstdint>

#include <multiprocessing/managed.hpp>

namespace {

using namespace mp;
using Dict = detail::ServedDict<std::string, std::vector<int>>;
using Queue = detail::ServedQueue<std::string>;
using Code = detail::ManagedEntry::Signature;

struct World {
    manager::Server server{77, "@nobody"};
    std::uint64_t dict = 0, queue = 0;
    World() {
        serial::Writer writer;
        serial::encode(writer, std::map<std::string, std::vector<int>>());
        serial::Reader initial(writer.bytes());
        dict = server.make(manager::Server::itself, &detail::run_make<Dict, std::map<std::string, std::vector<int>>>,
                           initial);
        writer.clear();
        serial::encode(writer, std::size_t{3});
        serial::Reader size(writer.bytes());
        queue = server.make(manager::Server::itself, &detail::run_make<Queue, std::size_t>, size);
    }
};

constexpr Code* codes[] = {
    &detail::run_method<Dict, &Dict::set>,   &detail::run_method<Dict, &Dict::merge>,
    &detail::run_method<Dict, &Dict::next>,  &detail::run_method<Dict, &Dict::pop>,
    &detail::run_method<Dict, &Dict::clear>, &detail::run_method<Queue, &Queue::close>,
    &detail::run_make<Queue, std::size_t>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World world;
    if (size == 0) return 0;
    const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
    const std::uint8_t what = data[0];
    serial::Reader reader(bytes);
    serial::Writer out;
    try {
        if (what < 64) {
            const auto request = manager::decode_request(reader);
            if (request.entry) (void)detail::resolve<detail::ManagedEntry>(*request.entry);
            world.server.keep(manager::Server::itself, request.object);
            world.server.drop(manager::Server::itself, request.object);
        } else if (what < 96) {
            (void)serial::decode<manager::Hello>(reader);
            reader.finish();
        } else if (what < 128) {
            // As the server itself holds it: only a proxy of this server leads anywhere without an address.
            const auto server = serial::decode<std::uint64_t>(reader);
            serial::Writer proxy;
            serial::encode(proxy, (server & 1) != 0);
            serial::encode(proxy, std::uint64_t{77});
            proxy.write(bytes.data() + sizeof server, reader.remaining());
            serial::Reader again(proxy.bytes());
            (void)serial::decode<managed::List<int>>(again);
        } else {
            // Right and wrong objects alike.
            world.server.call(manager::Server::From::code, what % 2 ? world.dict : world.queue, codes[what / 2 % std::size(codes)], reader, out);
        }
    } catch (const Error&) {
    }
    return 0;
}
