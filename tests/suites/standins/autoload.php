<?php
// Stands in for Composer's autoloader: the checkout's own classes, and those of its tests.

spl_autoload_register(function ($class) {
    $roots = ['PhpAmqpLib\\Tests\\' => __DIR__ . '/../tests/', 'PhpAmqpLib\\' => __DIR__ . '/../PhpAmqpLib/'];
    foreach ($roots as $prefix => $folder) {
        if (strpos($class, $prefix) === 0) {
            $file = $folder . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
            if (is_file($file)) {
                require $file;
                return;
            }
        }
    }
});
