%% In the place of the client of AMQP 1.0, which the tests of AMQP 0-9-1 in the same suites do without.
{application, rabbitmq_amqp_client, [{vsn, "0"}, {modules, []}, {registered, []}, {applications, [kernel, stdlib]}]}.
