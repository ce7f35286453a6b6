%% In the place of RabbitMQ's module of this name, which calls functions within the broker: what the HTTP API can do is done by that, the rest is skipped.
-module(rabbit_ct_broker_helpers).
-compile([export_all, nowarn_export_all]).

setup_steps() -> [].
teardown_steps() -> [].

get_node_config(Config, _, tcp_port_amqp) -> get_node_config(Config, 0, port);
get_node_config(_, _, port) -> list_to_integer(os:getenv("STOA_SUITE_PORT"));
get_node_config(_, _, nodename) -> node();
get_node_config(_, _, Key) -> exit({skip, {not_here, Key}}).

rabbitmqctl(_, _, ["add_user", User, Password]) -> put_user(text(User), text(Password));
rabbitmqctl(_, _, ["delete_user", User]) -> api(delete, "users/" ++ text(User), "");
rabbitmqctl(_, _, Arguments) -> exit({skip, {"needs rabbitmqctl", Arguments}}).

rpc(_, _, Module, Function, _) -> exit({skip, {"calls within the broker", Module, Function}}).
rpc(Config, Node, Module, Function, Arguments, _) -> rpc(Config, Node, Module, Function, Arguments).

put_user(User, Password) -> api(put, "users/" ++ User, "{\"password\":\"" ++ Password ++ "\",\"tags\":\"\"}").

%% Asks the HTTP API as guest.
api(Method, Path, Body) ->
    {ok, _} = application:ensure_all_started(inets),
    Login = "Basic " ++ base64:encode_to_string("guest:guest"),
    Url = "http://" ++ os:getenv("STOA_SUITE_HTTP") ++ "/api/" ++ Path,
    Request = case Method of
                  put -> {Url, [{"authorization", Login}], "application/json", Body};
                  _ -> {Url, [{"authorization", Login}]}
              end,
    case httpc:request(Method, Request, [], [{body_format, binary}]) of
        {ok, {{_, Code, _}, _, Said}} when Code < 300 -> {ok, Said};
        {ok, {{_, Code, _}, _, Said}} -> {error, Code, Said}
    end.

text(Text) when is_binary(Text) -> binary_to_list(Text);
text(Text) -> Text.
