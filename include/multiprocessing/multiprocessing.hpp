/// \file
/// Everything: processes, pools and what they share.
#pragma once

#include <multiprocessing/connection.hpp>
#include <multiprocessing/context.hpp>
#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/exit_status.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/future.hpp>
#include <multiprocessing/futures.hpp>
#include <multiprocessing/init.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/range.hpp>
#include <multiprocessing/register_exception.hpp>
#include <multiprocessing/serialize.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/snapshot_map.hpp>
#include <multiprocessing/stack.hpp>
#include <multiprocessing/stream.hpp>
#include <multiprocessing/synchronize.hpp>
#include <multiprocessing/version.hpp>
#include <multiprocessing/wait.hpp>
