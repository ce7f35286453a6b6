%% In the place of RabbitMQ's module of this name, which calls functions within the broker: what the HTTP API can do is done by that, the rest is skipped.
-module(rabbit_ct_broker_helpers).
-compile([export_all, nowarn_export_all]).

%% -- The node: there is one, and it runs already.

setup_steps() -> [fun(Config) -> rabbit_ct_helpers:set_config(Config, {rmq_nodes, [node_config()]}) end].
teardown_steps() -> [].

node_config() -> [{tcp_port_amqp, list_to_integer(os:getenv("STOA_SUITE_PORT"))}, {nodename, node()}].

get_node_configs(Config) -> proplists:get_value(rmq_nodes, Config, [node_config()]).
get_node_configs(Config, Key) -> [proplists:get_value(Key, Node) || Node <- get_node_configs(Config)].
get_node_config(Config, _, Key) ->
    case proplists:get_value(Key, hd(get_node_configs(Config))) of
        undefined -> exit({skip, {not_here, Key}});
        Value -> Value
    end.
control_action(Action, _, Arguments) -> exit({skip, {"needs rabbitmqctl", Action, Arguments}}).
enable_feature_flag(_, _) -> ok.
test_channel() -> exit({skip, "calls within the broker"}).
is_feature_flag_enabled(_, _) -> true.

%% -- What rabbitmqctl does.

rabbitmqctl(_, _, ["add_user", User, Password]) -> put_user(User, Password);
rabbitmqctl(_, _, ["delete_user", User]) -> api(delete, ["users", User]);
rabbitmqctl(_, _, Arguments) -> exit({skip, {"needs rabbitmqctl", Arguments}}).

rabbitmqctl_list(Config, Node, ["list_queues"]) -> rabbitmqctl_list(Config, Node, ["list_queues", "name", "messages"]);
rabbitmqctl_list(Config, Node, ["list_queues", "--no-table-headers" | Columns]) -> rabbitmqctl_list(Config, Node, ["list_queues" | Columns]);
rabbitmqctl_list(_, _, ["list_queues" | Columns]) -> [[column(Column, Queue) || Column <- Columns] || Queue <- queues()];
rabbitmqctl_list(_, _, Arguments) -> exit({skip, {"needs rabbitmqctl", Arguments}}).

column(Column, Queue) ->
    case maps:get(list_to_binary(Column), Queue, 0) of
        Number when is_integer(Number) -> integer_to_binary(Number);
        Text -> Text
    end.

add_user(Config, User) -> add_user(Config, User, User).
add_user(_, User, Password) -> put_user(User, Password).
add_user(_, _, User, Password) -> put_user(User, Password).
put_user(User, Password) -> api(put, ["users", User], #{password => bytes(Password), tags => <<>>}).
delete_user(_, User) -> done(api(delete, ["users", User])).
add_vhost(_, Name) -> done(api(put, ["vhosts", Name], #{})).
delete_vhost(_, Name) -> done(api(delete, ["vhosts", Name])).
set_full_permissions(Config, VHost) -> set_full_permissions(Config, <<"guest">>, VHost).
set_full_permissions(Config, User, VHost) -> set_permissions(Config, User, VHost, <<".*">>, <<".*">>, <<".*">>).
set_permissions(_, User, VHost, Configure, Write, Read) ->
    done(api(put, ["permissions", VHost, User], #{configure => Configure, write => Write, read => Read})).

set_policy(Config, Node, Name, Pattern, To, Definition) -> set_policy_in_vhost(Config, Node, <<"/">>, Name, Pattern, To, Definition).
set_policy_in_vhost(_, _, VHost, Name, Pattern, To, Definition) -> put_policy("policies", VHost, Name, Pattern, To, Definition).
set_operator_policy(_, _, Name, Pattern, To, Definition) -> put_policy("operator-policies", <<"/">>, Name, Pattern, To, Definition).
put_policy(Kind, VHost, Name, Pattern, To, Definition) ->
    {ok, _} = api(put, [Kind, VHost, Name], #{pattern => Pattern, 'apply-to' => To, definition => maps:map(fun(_, Value) -> json(Value) end, maps:from_list(Definition)), priority => 0}),
    ok.
clear_policy(_, _, Name) -> clear("policies", Name).
clear_operator_policy(_, _, Name) -> clear("operator-policies", Name).
clear(Kind, Name) ->
    case api(delete, [Kind, <<"/">>, Name]) of
        {ok, _} -> ok;
        {error, 404, _} -> {error_string, "Policy does not exist"}
    end.

done({ok, _}) -> ok.

%% -- Calls within the broker, as far as the API can answer them.

rpc(Config, Module, Function, Arguments) -> rpc(Config, 0, Module, Function, Arguments).
rpc(_, _, _, delete_queues, []) ->
    [{ok, _} = api(delete, ["queues", maps:get(<<"vhost">>, Queue), maps:get(<<"name">>, Queue)]) || Queue <- queues()],
    ok;
rpc(_, _, _, delete_exchange, [Name]) -> api(delete, ["exchanges", <<"/">>, Name]), ok;
rpc(_, _, rabbit_amqqueue, info_all, [_, Keys]) -> [[info(Key, Queue) || Key <- Keys] || Queue <- queues()];
rpc(_, _, rabbit_global_counters, overview, []) -> #{};
rpc(_, _, rabbit_auth_backend_internal, set_topic_permissions, [User, VHost, Exchange, Write, Read, _]) ->
    {ok, _} = api(put, ["topic-permissions", VHost, User], #{exchange => Exchange, write => Write, read => Read}),
    ok;
rpc(_, _, rabbit_auth_backend_internal, clear_topic_permissions, [User, VHost, _]) -> api(delete, ["topic-permissions", VHost, User]), ok;
rpc(_, _, Module, Function, _) -> exit({skip, {"calls within the broker", Module, Function}}).
rpc(Config, Node, Module, Function, Arguments, _) -> rpc(Config, Node, Module, Function, Arguments).

info(name, #{<<"name">> := Name}) -> {name, {resource, <<"/">>, queue, Name}};
info(Key, Queue) -> {Key, maps:get(atom_to_binary(Key), Queue, 0)}.

%% -- The HTTP API, asked as guest.

queues() ->
    {ok, Said} = api(get, ["queues"]),
    jsx:decode(Said, [return_maps]).

api(Method, Path) -> api(Method, Path, none).
api(Method, Path, Body) ->
    {ok, _} = application:ensure_all_started(inets),
    Login = "Basic " ++ base64:encode_to_string("guest:guest"),
    Url = lists:flatten(["http://", os:getenv("STOA_SUITE_HTTP"), "/api", [["/", uri_string:quote(text(Part))] || Part <- Path]]),
    Request = case Body of
                  none -> {Url, [{"authorization", Login}]};
                  _ -> {Url, [{"authorization", Login}], "application/json", jsx:encode(Body)}
              end,
    case httpc:request(Method, Request, [], [{body_format, binary}]) of
        {ok, {{_, Code, _}, _, Said}} when Code < 300 -> {ok, Said};
        {ok, {{_, Code, _}, _, Said}} -> {error, Code, Said}
    end.

text(Text) when is_binary(Text) -> binary_to_list(Text);
text(Text) -> Text.
json(Value) when is_list(Value) -> list_to_binary(Value);
json(Value) -> Value.
bytes(Text) -> iolist_to_binary(Text).
