//! The table of all methods, from the specification's `amqp0-9-1.xml` and RabbitMQ's extensions to it. Nothing but the table.

use super::macros::methods;
use crate::WireError;
use crate::wire::{Reader, Writer};

methods! {
    /// The connection itself, on channel 0 (AMQP 0-9-1, section 1.4).
    class connection = 10 {
        /// The server begins: it says what it is and how one may log in.
        10 "connection.start" ConnectionStart(Start<'a>) {
            version_major: u8 = "0",
            version_minor: u8 = "9",
            server_properties: RawTable<'a> = "What the server is and can do.",
            mechanisms: &'a [u8] = "SASL mechanisms, separated by spaces.",
            locales: &'a [u8] = "Locales, separated by spaces.",
        }
        /// The client logs in.
        11 "connection.start-ok" ConnectionStartOk(StartOk<'a>) {
            client_properties: RawTable<'a> = "What the client is and can do.",
            mechanism: ShortStr<'a> = "The SASL mechanism that it chose.",
            response: &'a [u8] = "What that mechanism says first.",
            locale: ShortStr<'a> = "The locale that it chose.",
        }
        /// The SASL mechanism asks for more.
        20 "connection.secure" ConnectionSecure(Secure<'a>) {
            challenge: &'a [u8] = "What the mechanism says.",
        }
        /// The answer to that.
        21 "connection.secure-ok" ConnectionSecureOk(SecureOk<'a>) {
            response: &'a [u8] = "What the mechanism answers.",
        }
        /// The server proposes limits.
        30 "connection.tune" ConnectionTune(Tune) {
            channel_max: u16 = "The greatest channel number; 0: no limit.",
            frame_max: u32 = "Octets in a whole frame; 0: no limit.",
            heartbeat: u16 = "Seconds between signs of life; 0: none.",
        }
        /// The client settles on limits no wider than those.
        31 "connection.tune-ok" ConnectionTuneOk(TuneOk) {
            channel_max: u16 = "The greatest channel number; 0: no limit.",
            frame_max: u32 = "Octets in a whole frame; 0: no limit.",
            heartbeat: u16 = "Seconds between signs of life; 0: none.",
        }
        /// The client chooses its virtual host.
        40 "connection.open" ConnectionOpen(Open<'a>) {
            virtual_host: ShortStr<'a> = "The virtual host's name.",
            ;[ShortStr<'_>] [bool]
        }
        /// The connection can be used.
        41 "connection.open-ok" ConnectionOpenOk(OpenOk) {
            ;[ShortStr<'_>]
        }
        /// The sender will send nothing more and wants the connection closed.
        50 "connection.close" ConnectionClose(Close<'a>) {
            reply_code: u16 = "Why, as a number.",
            reply_text: ShortStr<'a> = "Why, as a text.",
            class_id: u16 = "The class of the method that is to blame, or 0.",
            method_id: u16 = "The method that is to blame, or 0.",
        }
        /// It is closed.
        51 "connection.close-ok" ConnectionCloseOk(CloseOk) {}
        /// The server takes no publishes for now (RabbitMQ).
        60 "connection.blocked" ConnectionBlocked(Blocked<'a>) {
            reason: ShortStr<'a> = "Why.",
        }
        /// The server takes publishes again (RabbitMQ).
        61 "connection.unblocked" ConnectionUnblocked(Unblocked) {}
        /// The client renews its credentials (RabbitMQ).
        70 "connection.update-secret" ConnectionUpdateSecret(UpdateSecret<'a>) {
            new_secret: &'a [u8] = "The new password or token.",
            reason: ShortStr<'a> = "Why, for the log.",
        }
        /// They were taken (RabbitMQ).
        71 "connection.update-secret-ok" ConnectionUpdateSecretOk(UpdateSecretOk) {}
    }

    /// Channels (AMQP 0-9-1, section 1.5).
    class channel = 20 {
        /// The client opens a channel.
        10 "channel.open" ChannelOpen(Open) {
            ;[ShortStr<'_>]
        }
        /// It is open.
        11 "channel.open-ok" ChannelOpenOk(OpenOk) {
            ;[&[u8]]
        }
        /// The sender wants contents to flow, or not.
        20 "channel.flow" ChannelFlow(Flow) {
            active: bool = "Whether the other side may send contents.",
        }
        /// The other side knows.
        21 "channel.flow-ok" ChannelFlowOk(FlowOk) {
            active: bool = "Whether contents will flow.",
        }
        /// The sender will send nothing more on the channel and wants it closed.
        40 "channel.close" ChannelClose(Close<'a>) {
            reply_code: u16 = "Why, as a number.",
            reply_text: ShortStr<'a> = "Why, as a text.",
            class_id: u16 = "The class of the method that is to blame, or 0.",
            method_id: u16 = "The method that is to blame, or 0.",
        }
        /// It is closed.
        41 "channel.close-ok" ChannelCloseOk(CloseOk) {}
    }

    /// Access tickets: of AMQP 0-8, answered for old clients, without meaning.
    class access = 30 {
        /// The client asks for a ticket.
        10 "access.request" AccessRequest(Request<'a>) {
            realm: ShortStr<'a> = "For what.",
            exclusive: bool = "Nobody else is to have one.",
            passive: bool = "It will only look.",
            active: bool = "It will do more than look.",
            write: bool = "It will publish.",
            read: bool = "It will consume.",
        }
        /// Here it is.
        11 "access.request-ok" AccessRequestOk(RequestOk) {
            ticket: u16 = "The ticket: any number.",
        }
    }

    /// Exchanges (AMQP 0-9-1, section 1.6).
    class exchange = 40 {
        /// The client declares an exchange.
        10 "exchange.declare" ExchangeDeclare(Declare<'a>) {
            [u16] exchange: ShortStr<'a> = "Its name.",
            kind: ShortStr<'a> = "The field `type`: direct, fanout, topic, headers, `x-`...",
            passive: bool = "Only ask whether there is one.",
            durable: bool = "It outlives a restart of the broker.",
            auto_delete: bool = "It goes with its last binding (RabbitMQ).",
            internal: bool = "Only other exchanges may publish to it (RabbitMQ).",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "Arguments that depend on its type.",
        }
        /// There is such an exchange.
        11 "exchange.declare-ok" ExchangeDeclareOk(DeclareOk) {}
        /// The client deletes an exchange.
        20 "exchange.delete" ExchangeDelete(Delete<'a>) {
            [u16] exchange: ShortStr<'a> = "Its name.",
            if_unused: bool = "Only if nothing is bound to it.",
            no_wait: bool = "No answer is wanted.",
        }
        /// It is gone.
        21 "exchange.delete-ok" ExchangeDeleteOk(DeleteOk) {}
        /// The client binds an exchange to another (RabbitMQ).
        30 "exchange.bind" ExchangeBind(Bind<'a>) {
            [u16] destination: ShortStr<'a> = "The exchange that receives.",
            source: ShortStr<'a> = "The exchange that is bound to.",
            routing_key: ShortStr<'a> = "Which messages; depends on the source's type.",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "Likewise.",
        }
        /// They are bound (RabbitMQ).
        31 "exchange.bind-ok" ExchangeBindOk(BindOk) {}
        /// The client unbinds them again (RabbitMQ).
        40 "exchange.unbind" ExchangeUnbind(Unbind<'a>) {
            [u16] destination: ShortStr<'a> = "The exchange that receives.",
            source: ShortStr<'a> = "The exchange that is bound to.",
            routing_key: ShortStr<'a> = "As when it was bound.",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "As when it was bound.",
        }
        /// They are not bound any more (RabbitMQ).
        51 "exchange.unbind-ok" ExchangeUnbindOk(UnbindOk) {}
    }

    /// Queues (AMQP 0-9-1, section 1.7).
    class queue = 50 {
        /// The client declares a queue.
        10 "queue.declare" QueueDeclare(Declare<'a>) {
            [u16] queue: ShortStr<'a> = "Its name; empty: the server makes one up.",
            passive: bool = "Only ask whether there is one.",
            durable: bool = "It outlives a restart of the broker.",
            exclusive: bool = "Only for this connection, and gone with it.",
            auto_delete: bool = "It goes with its last consumer.",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "`x-message-ttl` and the like.",
        }
        /// There is such a queue.
        11 "queue.declare-ok" QueueDeclareOk(DeclareOk<'a>) {
            queue: ShortStr<'a> = "Its name.",
            message_count: u32 = "How many messages are ready.",
            consumer_count: u32 = "How many consumers it has.",
        }
        /// The client binds a queue to an exchange.
        20 "queue.bind" QueueBind(Bind<'a>) {
            [u16] queue: ShortStr<'a> = "The queue that receives; empty: the channel's last one.",
            exchange: ShortStr<'a> = "The exchange that is bound to.",
            routing_key: ShortStr<'a> = "Which messages; depends on the exchange's type.",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "Likewise.",
        }
        /// They are bound.
        21 "queue.bind-ok" QueueBindOk(BindOk) {}
        /// The client drops all messages that are ready.
        30 "queue.purge" QueuePurge(Purge<'a>) {
            [u16] queue: ShortStr<'a> = "The queue's name; empty: the channel's last one.",
            no_wait: bool = "No answer is wanted.",
        }
        /// They are dropped.
        31 "queue.purge-ok" QueuePurgeOk(PurgeOk) {
            message_count: u32 = "How many there were.",
        }
        /// The client deletes a queue.
        40 "queue.delete" QueueDelete(Delete<'a>) {
            [u16] queue: ShortStr<'a> = "Its name; empty: the channel's last one.",
            if_unused: bool = "Only if it has no consumers.",
            if_empty: bool = "Only if it has no messages.",
            no_wait: bool = "No answer is wanted.",
        }
        /// It is gone.
        41 "queue.delete-ok" QueueDeleteOk(DeleteOk) {
            message_count: u32 = "How many messages went with it.",
        }
        /// The client unbinds a queue from an exchange.
        50 "queue.unbind" QueueUnbind(Unbind<'a>) {
            [u16] queue: ShortStr<'a> = "The queue that receives; empty: the channel's last one.",
            exchange: ShortStr<'a> = "The exchange that is bound to.",
            routing_key: ShortStr<'a> = "As when it was bound.",
            arguments: RawTable<'a> = "As when it was bound.",
        }
        /// They are not bound any more.
        51 "queue.unbind-ok" QueueUnbindOk(UnbindOk) {}
    }

    /// Messages (AMQP 0-9-1, section 1.8).
    class basic = 60 {
        /// The client limits what it is sent before it acknowledges.
        10 "basic.qos" BasicQos(Qos) {
            prefetch_size: u32 = "In octets; 0: no limit. RabbitMQ knows no other.",
            prefetch_count: u16 = "In messages; 0: no limit.",
            global: bool = "For the channel as a whole, else for each consumer that starts later (RabbitMQ).",
        }
        /// It is limited.
        11 "basic.qos-ok" BasicQosOk(QosOk) {}
        /// The client starts a consumer.
        20 "basic.consume" BasicConsume(Consume<'a>) {
            [u16] queue: ShortStr<'a> = "From which queue; empty: the channel's last one.",
            consumer_tag: ShortStr<'a> = "The consumer's name on the channel; empty: the server makes one up.",
            no_local: bool = "Not what this connection published. RabbitMQ ignores it.",
            no_ack: bool = "Messages are settled when they are sent.",
            exclusive: bool = "Nobody else may consume from the queue.",
            no_wait: bool = "No answer is wanted.",
            arguments: RawTable<'a> = "`x-priority` and the like.",
        }
        /// It is started.
        21 "basic.consume-ok" BasicConsumeOk(ConsumeOk<'a>) {
            consumer_tag: ShortStr<'a> = "The consumer's name.",
        }
        /// The client, or with RabbitMQ the server, stops a consumer.
        30 "basic.cancel" BasicCancel(Cancel<'a>) {
            consumer_tag: ShortStr<'a> = "The consumer's name.",
            no_wait: bool = "No answer is wanted.",
        }
        /// It is stopped.
        31 "basic.cancel-ok" BasicCancelOk(CancelOk<'a>) {
            consumer_tag: ShortStr<'a> = "The consumer's name.",
        }
        /// The client publishes the content that follows.
        40 "basic.publish" BasicPublish(Publish<'a>) {
            [u16] exchange: ShortStr<'a> as Octets = "To which exchange; empty: the default one.",
            routing_key: ShortStr<'a> as Octets = "What the exchange routes by.",
            mandatory: bool = "To be returned if it reaches no queue.",
            immediate: bool = "To be returned if it reaches no consumer at once. RabbitMQ refuses it.",
        }
        /// The server returns the content that follows.
        50 "basic.return" BasicReturn(Return<'a>) {
            reply_code: u16 = "Why, as a number.",
            reply_text: ShortStr<'a> as Octets = "Why, as a text.",
            exchange: ShortStr<'a> as Octets = "To which exchange it was published.",
            routing_key: ShortStr<'a> as Octets = "With which routing key.",
        }
        /// The server delivers the content that follows.
        60 "basic.deliver" BasicDeliver(Deliver<'a>) {
            consumer_tag: ShortStr<'a> as Octets = "To which consumer.",
            delivery_tag: u64 = "By which number to settle it.",
            redelivered: bool = "It may have been delivered before.",
            exchange: ShortStr<'a> as Octets = "To which exchange it was published.",
            routing_key: ShortStr<'a> as Octets = "With which routing key.",
        }
        /// The client asks for one message.
        70 "basic.get" BasicGet(Get<'a>) {
            [u16] queue: ShortStr<'a> = "From which queue; empty: the channel's last one.",
            no_ack: bool = "It is settled when it is sent.",
        }
        /// The content that follows is that message.
        71 "basic.get-ok" BasicGetOk(GetOk<'a>) {
            delivery_tag: u64 = "By which number to settle it.",
            redelivered: bool = "It may have been delivered before.",
            exchange: ShortStr<'a> as Octets = "To which exchange it was published.",
            routing_key: ShortStr<'a> as Octets = "With which routing key.",
            message_count: u32 = "How many more are ready.",
        }
        /// There is none.
        72 "basic.get-empty" BasicGetEmpty(GetEmpty) {
            ;[ShortStr<'_>]
        }
        /// Deliveries were dealt with; from the server: publishes are confirmed (RabbitMQ).
        80 "basic.ack" BasicAck(Ack) {
            delivery_tag: u64 = "Which one; 0 with `multiple`: all.",
            multiple: bool = "And all before it.",
        }
        /// The client rejects a delivery.
        90 "basic.reject" BasicReject(Reject) {
            delivery_tag: u64 = "Which one.",
            requeue: bool = "Back to the queue, else dropped or dead-lettered.",
        }
        /// The client wants all that is not settled delivered again; no answer (deprecated).
        100 "basic.recover-async" BasicRecoverAsync(RecoverAsync) {
            requeue: bool = "To anybody, else to itself.",
        }
        /// The same, with an answer.
        110 "basic.recover" BasicRecover(Recover) {
            requeue: bool = "To anybody, else to itself.",
        }
        /// The answer.
        111 "basic.recover-ok" BasicRecoverOk(RecoverOk) {}
        /// Deliveries are rejected; from the server: publishes were not taken (RabbitMQ).
        120 "basic.nack" BasicNack(Nack) {
            delivery_tag: u64 = "Which one; 0 with `multiple`: all.",
            multiple: bool = "And all before it.",
            requeue: bool = "Back to the queue, else dropped or dead-lettered.",
        }
    }

    /// Publisher confirms (RabbitMQ).
    class confirm = 85 {
        /// The client wants its publishes on this channel confirmed.
        10 "confirm.select" ConfirmSelect(Select) {
            no_wait: bool = "No answer is wanted.",
        }
        /// They will be.
        11 "confirm.select-ok" ConfirmSelectOk(SelectOk) {}
    }

    /// Transactions (AMQP 0-9-1, section 1.9).
    class tx = 90 {
        /// The client makes the channel transactional.
        10 "tx.select" TxSelect(Select) {}
        /// It is.
        11 "tx.select-ok" TxSelectOk(SelectOk) {}
        /// What was published and settled since is to take effect.
        20 "tx.commit" TxCommit(Commit) {}
        /// It has.
        21 "tx.commit-ok" TxCommitOk(CommitOk) {}
        /// It is to be forgotten.
        30 "tx.rollback" TxRollback(Rollback) {}
        /// It is.
        31 "tx.rollback-ok" TxRollbackOk(RollbackOk) {}
    }
}
