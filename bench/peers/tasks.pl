#!/usr/bin/perl
# Perl's MCE: many small tasks in two processes. Prints {"seconds": time of the work}, without start and stop.
#
#     tasks.pl TASKS MICROSECONDS [CHUNK]
use strict;
use warnings;
use MCE::Map;
use Time::HiRes qw(time);

my ($count, $microseconds, $chunk) = @ARGV;
MCE::Map->init(max_workers => 2, chunk_size => $chunk || 'auto');

sub task {
    my $end = time + $microseconds * 1e-6;
    if ($microseconds) { 1 while time < $end }
    return $_[0];
}

mce_map { task($_) } 1 .. 2;
my $begin = time;
my @results = mce_map { task($_) } 1 .. $count;
my $seconds = time - $begin;
die 'results are missing' if @results != $count;
MCE::Map->finish;
print qq({"seconds": $seconds}\n);
