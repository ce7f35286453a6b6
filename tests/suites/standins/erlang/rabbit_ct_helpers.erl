%% In the place of RabbitMQ's module of this name, which builds and starts the broker that its suites are run against: here one runs already.
-module(rabbit_ct_helpers).
-compile([export_all, nowarn_export_all]).

log_environment() -> ok.

setup_steps() -> [].
teardown_steps() -> [].
run_setup_steps(Config) -> run_setup_steps(Config, []).
run_setup_steps(Config, Steps) -> run_steps(address(Config), Steps).
run_teardown_steps(Config) -> Config.
run_teardown_steps(Config, Steps) -> run_steps(Config, Steps).
run_steps(Config, Steps) -> lists:foldl(fun step/2, Config, Steps).

step(Step, Config) ->
    case Step(Config) of
        {skip, Reason} -> exit({skip, Reason});
        Changed -> Changed
    end.

address(Config) ->
    set_config(Config, [{rmq_username, <<"guest">>}, {rmq_password, <<"guest">>}, {rmq_vhost, <<"/">>},
                        {rmq_hostname, os:getenv("STOA_SUITE_HOST")}, {rmq_channel_max, 2047}]).

set_config(Config, Entries) when is_list(Entries) ->
    lists:foldl(fun(Entry, Set) -> lists:keystore(element(1, Entry), 1, Set, Entry) end, Config, Entries);
set_config(Config, Entry) -> set_config(Config, [Entry]).

get_config(Config, Key) -> proplists:get_value(Key, Config).
get_config(Config, Key, Default) -> proplists:get_value(Key, Config, Default).
delete_config(Config, Key) -> proplists:delete(Key, Config).
merge_app_env(Config, _) -> Config.

testcase_started(Config, _) -> Config.
%% What RabbitMQ's leave behind would be in the way of a test that uses the same name for a queue of another type.
testcase_finished(Config, _) ->
    rabbit_ct_broker_helpers:rpc(Config, 0, ?MODULE, delete_queues, []),
    Config.
testcase_absname(Config, Case) -> testcase_absname(Config, Case, "/").
testcase_absname(_, Case, _) -> lists:flatten(io_lib:format("~s", [Case])).
testcase_number(_, _, Case) -> erlang:phash2(Case, 100).

await_condition(Condition) -> await_condition(Condition, 10000).
await_condition(Condition, Millis) -> await_condition_with_retries(Condition, Millis div 50).
await_condition_with_retries(Condition, 0) -> true = Condition();
await_condition_with_retries(Condition, Left) ->
    case Condition() of
        true -> ok;
        _ -> timer:sleep(50), await_condition_with_retries(Condition, Left - 1)
    end.

eventually({Line, Test}) -> eventually({Line, Test}, 200, 15).
eventually(Test, _, 0) -> check(Test);
eventually(Test, Pause, Left) ->
    try check(Test)
    catch _:_ -> timer:sleep(Pause), eventually(Test, Pause, Left - 1)
    end.
consistently(Test) -> consistently(Test, 50, 20).
consistently(_, _, 0) -> ok;
consistently(Test, Pause, Left) ->
    check(Test),
    timer:sleep(Pause),
    consistently(Test, Pause, Left - 1).

check({_, Test}) -> Test();
check(Test) -> Test().

ensure_application_srcdir(Config, _, _) -> Config.
make(_, _, _) -> {error, not_here}.
is_mixed_versions() -> false.
is_mixed_versions(_) -> false.
