// Publishing a message by hand.

import * as api from '../api.js';
import { ask, json } from '../dialog.js';
import { changed } from './common.js';

/** `fixed`: straight to the queue that is named like the key. */
export async function publishForm({ vhost, exchange, key = '', fixed = false }) {
  const done = await ask({
    title: fixed ? `Publish to ${key}` : `Publish to ${exchange}`, action: 'Publish',
    fields: [
      ...(fixed ? [] : [{ name: 'routing_key', label: 'Routing key', value: key }]),
      { name: 'payload', label: 'Body', type: 'textarea' },
      [{ name: 'content_type', label: 'Content type', placeholder: 'application/json' }, { name: 'persistent', label: 'Persistent', type: 'checkbox', value: true }],
      { name: 'properties', label: 'Further properties', type: 'textarea', placeholder: '{"headers": {"x-delay": 1000}, "priority": 3}', hint: 'JSON', says: /propert/ },
    ],
    async act({ routing_key: typed, payload, content_type: type, persistent, properties }) {
      const given = json(properties, 'properties');
      const answer = await api.post(api.path('exchanges', vhost, exchange) + '/publish', {
        routing_key: fixed ? key : typed, payload, payload_encoding: 'string',
        properties: { delivery_mode: persistent ? 2 : 1, ...(type && { content_type: type }), ...given },
      });
      if (!answer.routed) throw new Error('No queue is bound that would take it: the message was not kept.');
    },
    done: 'Published.',
  });
  if (done) changed();
}
